"""The two painters of the map: a graphics card's picture is that of the Canvas, and only a real card paints unasked."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

FEW, VERY_MANY = 4000, 200_001

AS_A_CARD = """
const {getContext} = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  const context = getContext.call(this, kind, {...options, failIfMajorPerformanceCaveat: false});
  if (kind === "webgl2") window.card = context;
  return context;
};
const {getParameter} = WebGL2RenderingContext.prototype;
WebGL2RenderingContext.prototype.getParameter = function (name) {
  return name === this.RENDERER ? "A graphics card" : getParameter.call(this, name);
};
"""
"""Makes the program that imitates a graphics card look like one."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, generator: ModuleType) -> Callable[[int], Path]:
    """Writes a page of so many random points, once."""
    folder = tmp_path_factory.mktemp("painters")

    def write(count: int) -> Path:
        path: Path = folder / f"{count}.html"
        if not path.exists():
            places = np.random.default_rng(3).normal(size=(count, 2))
            path.write_text(generator.page_with(generator.payload(count, None, None, places=places)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open_page(path: Path, *, query: str = "", script: str = "") -> Page:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce"))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri() + query)
        page.wait_for_function("window.triptych?.painter")
        return page

    yield open_page
    for context in contexts:
        context.close()


def drawn(page: Page) -> np.ndarray:
    """The lower canvas of the map after the next frame, (H, W, 3)."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    text = page.locator('[data-testid="map-0"] canvas').first.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(BytesIO(b64decode(text.split(",")[1]))).convert("RGB")).astype(int)


def test_a_graphics_card_paints_the_picture_of_the_canvas(
    written: Callable[[int], Path], opened: Callable[..., Page]
) -> None:
    pages = {name: opened(written(FEW), query=f"?painter={name}") for name in ("canvas", "webgl")}
    found: dict[str, list[np.ndarray]] = {}
    for name, page in pages.items():
        assert page.evaluate("window.triptych.painter") == name
        pictures = found.setdefault(name, [])
        pictures.append(drawn(page))
        page.get_by_test_id("legend").get_by_role("button").first.click()  # hides a class
        pictures.append(drawn(page))
        page.get_by_test_id("find").fill("test/")
        page.get_by_role("button", name="Select all").click()  # the others step back
        page.get_by_label("Whole map").click()
        page.wait_for_timeout(300)
        pictures.append(drawn(page))

    for canvas, card in zip(found["canvas"], found["webgl"], strict=True):
        is_point = (canvas != canvas[0, 0]).any(-1)
        assert is_point.mean() > 0.1
        assert (abs(card - canvas) > 4).any(-1).mean() < 2e-4
    first, second, third = found["webgl"]
    assert (first != second).any(-1).mean() > 0.01
    assert (second != third).any(-1).mean() > 0.05


def test_a_program_that_imitates_a_graphics_card_does_not_count(
    written: Callable[[int], Path], opened: Callable[..., Page]
) -> None:
    assert opened(written(VERY_MANY)).evaluate("window.triptych.painter") == "canvas"


def test_a_graphics_card_paints_very_many_points_until_it_is_taken_away(
    written: Callable[[int], Path], opened: Callable[..., Page]
) -> None:
    few = opened(written(FEW), script=AS_A_CARD)
    assert few.evaluate("[window.triptych.painter, window.card ?? null]") == ["canvas", None]
    page = opened(written(VERY_MANY), script=AS_A_CARD)
    assert page.evaluate("window.triptych.painter") == "webgl"
    before = drawn(page)

    page.evaluate("window.card.getExtension('WEBGL_lose_context').loseContext()")
    page.wait_for_function("window.triptych.painter === 'canvas'")

    assert (abs(drawn(page) - before) > 4).any(-1).mean() < 2e-4
    page.get_by_label("Zoom in").click()
    assert (drawn(page) != before).any(-1).mean() > 0.05
