"""The page in a real browser, headless: what a person sees, and what happens under their fingers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

COLOURED = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue] = [data[i], data[i + 1], data[i + 2]];
    if (data[i + 3] && Math.max(red, green, blue) - Math.min(red, green, blue) > 30) count++;
  }
  return count;
}"""
"""Pixels of a canvas that have a colour."""

AT_REST = """() => new Promise(done => {
  let timer = setTimeout(done, 400);
  addEventListener("scroll", () => { clearTimeout(timer); timer = setTimeout(done, 400); });
})"""
"""Waits until the page lies still: a wheel that rolls soon after it has moved is taken for scrolling."""

CONTRASTS = """() => {
  const probe = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
  const rgba = colour => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  return [...document.querySelectorAll("body *")]
    .filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(one => {
      const [a, b] = [luminance(rgba(getComputedStyle(one).color)), luminance(ground(one))].sort((x, y) => y - x);
      return [one.tagName + "." + one.className + ": " + one.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)];
    });
}"""
"""The contrast of every text that is shown with what is behind it, as WCAG 2 defines it."""


class Seen:
    """A page that is open, its requests to the network, and its errors."""

    def __init__(self, browser: Browser, report: Path, **options: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**options).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(report.as_uri())
        self.canvas = self.page.locator("#map > canvas")
        self.card = self.page.locator("#map .card")
        self.settle()

    def settle(self) -> None:
        """Wait until everything is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def coloured(self) -> int:
        self.settle()
        return int(self.canvas.evaluate(COLOURED))

    def status(self) -> str:
        """What stands on the card, with single spaces; nothing where it is hidden."""
        self.settle()
        return " ".join(self.card.inner_text().split()) if self.card.is_visible() else ""

    def zoom(self) -> float:
        self.settle()
        return float(self.page.locator("#map").get_attribute("data-zoom") or "nan")


@pytest.fixture(scope="module")
def seen(browser: Browser, report: Path) -> Iterator[Seen]:
    one = Seen(browser, report, viewport={"width": 1200, "height": 1000}, device_scale_factor=2)
    yield one
    one.page.context.close()


@pytest.fixture
def whole(seen: Seen) -> Seen:
    """The page as it was opened: all of the map in view, nothing pinned, every class shown."""
    seen.page.locator("#all-classes").click()
    seen.page.locator("#whole-map").click()
    seen.page.keyboard.press("Escape")
    seen.page.mouse.move(0, 0)
    seen.canvas.scroll_into_view_if_needed()
    seen.page.evaluate(AT_REST)
    return seen


@pytest.fixture(scope="module")
def place(reported: Any, seen: Seen) -> Callable[[int], tuple[float, float]]:
    """Where on the screen a point of the map must be: all of them centred, upright, 20 pixels from the frame."""
    points = reported.evaluation.map.points.astype(float) * [1, -1]
    low, high = points.min(0), points.max(0)

    def find(point: int) -> tuple[float, float]:
        box = seen.canvas.bounding_box()
        assert box is not None
        scale = min((box["width"] - 40) / (high - low)[0], (box["height"] - 40) / (high - low)[1])
        x, y = (points[point] - (low + high) / 2) * scale
        return box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y

    return find


def lonely(reported: Any, count: int) -> list[int]:
    """Points of the map that are farthest from the next one, at which nothing else can be meant."""
    points = torch.from_numpy(reported.evaluation.map.points)
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    chosen: list[int] = distances.min(1).values.argsort(descending=True)[:count].tolist()
    return chosen


def test_the_page_makes_no_request_and_logs_no_error(seen: Seen, report: Path) -> None:
    assert [url for url in seen.requests if not url.startswith("data:")] == [report.as_uri()]
    assert seen.complaints == []


def test_every_picture_can_be_seen(seen: Seen) -> None:
    widths = seen.page.locator(".picture img").evaluate_all(
        "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    )

    assert len(widths) == 12
    assert min(widths) >= 1000


def test_the_map_is_drawn_at_the_screens_own_resolution(whole: Seen) -> None:
    width = whole.canvas.evaluate("canvas => [canvas.width, canvas.clientWidth]")

    assert width[0] == 2 * width[1] > 1000
    assert whole.coloured() > 1000


def test_pointing_at_a_point_shows_its_image_and_prediction(
    whole: Seen, reported: Any, place: Callable[[int], tuple[float, float]]
) -> None:
    evaluation, classes = reported.evaluation, reported.data.classes
    for point in lonely(reported, 5):
        image = int(evaluation.map.indices[point])
        whole.page.mouse.move(*place(point))

        sure, predicted = evaluation.outputs.probabilities[image].max(0)
        words = whole.status()
        assert words.startswith(" ".join(f"{classes[evaluation.outputs.labels[image]]} predicted".split()))
        assert words.endswith(f"image {image}")
        expected = f"predicted {classes[predicted]}, confidence {100 * sure:.0f}%"
        assert " ".join(expected.split()) in words or sure > 0.98
        pixels = whole.card.locator("canvas").evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        shown = np.array(pixels).reshape(8, 8, 4)[:, :, 0]
        assert np.array_equal(shown, evaluation.split.images[image, 0].numpy())


def test_a_name_that_looks_like_markup_is_shown_as_it_is(
    whole: Seen, reported: Any, place: Callable[[int], tuple[float, float]]
) -> None:
    labels = reported.evaluation.outputs.labels[reported.evaluation.map.indices]
    point = next(point for point in lonely(reported, len(labels)) if labels[point] == 3)
    whole.page.mouse.move(*place(point))

    assert "<script>alert(1)</script>" in whole.status()
    assert whole.page.locator("#legend").get_by_text("<script>alert(1)</script>").count() == 1


def test_a_wheel_zooms_where_the_pointer_is_and_a_drag_moves_the_map(
    whole: Seen, reported: Any, place: Callable[[int], tuple[float, float]]
) -> None:
    (point,) = lonely(reported, 1)
    x, y = place(point)
    before = whole.canvas.evaluate("canvas => canvas.toDataURL()")
    whole.page.mouse.move(x, y)
    for _ in range(5):
        whole.page.mouse.wheel(0, -100)

    assert whole.zoom() > 2
    assert whole.canvas.evaluate("canvas => canvas.toDataURL()") != before
    assert whole.status().endswith(f"image {int(reported.evaluation.map.indices[point])}")

    whole.page.mouse.down()
    whole.page.mouse.move(x + 90, y + 60, steps=3)
    whole.page.mouse.up()
    whole.page.mouse.move(x + 91, y + 60)
    assert whole.status().endswith(f"image {int(reported.evaluation.map.indices[point])}")

    whole.page.locator("#whole-map").click()
    assert whole.zoom() == 1


def test_a_class_can_be_hidden_and_shown_again(
    whole: Seen, reported: Any, place: Callable[[int], tuple[float, float]]
) -> None:
    all_of_them = whole.coloured()
    (point,) = lonely(reported, 1)
    label = int(reported.evaluation.outputs.labels[reported.evaluation.map.indices[point]])
    button = whole.page.locator(f"#legend [data-label='{label}']")
    button.click()

    assert button.get_attribute("aria-pressed") == "false"
    assert whole.coloured() != all_of_them
    whole.canvas.scroll_into_view_if_needed()
    whole.page.mouse.move(*place(point))
    assert not whole.status().endswith(f"image {int(reported.evaluation.map.indices[point])}")

    whole.page.locator("#no-classes").click()
    assert whole.coloured() == 0
    whole.page.locator("#all-classes").click()
    whole.page.mouse.move(0, 0)
    assert whole.coloured() == all_of_them


def test_colours_can_show_right_and_wrong(whole: Seen) -> None:
    pictures = set()
    for name in ("verdict", "confidence", "class"):
        whole.page.locator(f"input[value={name}]").check()
        whole.settle()
        pictures.add(whole.canvas.evaluate("canvas => canvas.toDataURL()"))

    assert len(pictures) == 3


def test_a_click_lists_the_nearest_images_and_one_of_them_leads_on(
    whole: Seen, reported: Any, place: Callable[[int], tuple[float, float]]
) -> None:
    evaluation = reported.evaluation
    (point,) = lonely(reported, 1)
    embeddings = evaluation.outputs.embeddings[evaluation.map.indices].double()
    nearness = embeddings @ embeddings[point]
    nearness[point] = -2
    nearest = evaluation.map.indices[nearness.argsort(descending=True)[:8]].tolist()
    whole.page.mouse.click(*place(point))
    pinboard = whole.page.locator("#pinboard")

    titles = pinboard.locator("li button").evaluate_all("buttons => buttons.map(button => button.title)")
    assert titles == [f"image {image}" for image in nearest]
    pinboard.locator("li button").first.click()
    assert f"image {nearest[0]}" in pinboard.locator(".chosen").inner_text()
    pinboard.locator(".close").click()
    assert not pinboard.is_visible()


def test_the_map_can_be_walked_by_keys_alone(whole: Seen) -> None:
    whole.canvas.focus()
    visited = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        whole.page.keyboard.press(key)
        visited.add(whole.status())
    assert len(visited - {""}) >= 3

    whole.page.keyboard.press("Enter")
    assert whole.page.locator("#pinboard").is_visible()
    whole.page.keyboard.press("Escape")
    assert not whole.page.locator("#pinboard").is_visible()
    whole.page.keyboard.press("+")
    assert whole.zoom() > 1
    whole.page.keyboard.press("0")
    assert whole.zoom() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(seen: Seen, scheme: Any) -> None:
    seen.page.emulate_media(color_scheme=scheme)
    seen.settle()
    contrasts: list[tuple[str, float]] = seen.page.evaluate(CONTRASTS)
    dark = seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    seen.page.emulate_media(color_scheme="light")

    assert len(contrasts) > 100
    assert {text: contrast for text, contrast in contrasts if contrast < 4.5} == {}
    assert (max(map(int, dark[4:-1].split(","))) < 60) == (scheme == "dark")


def test_a_phone_shows_it_without_scrolling_sideways_and_two_fingers_zoom(browser: Browser, report: Path) -> None:
    viewport = {"width": 390, "height": 844}
    phone = Seen(browser, report, viewport=viewport, device_scale_factor=2, has_touch=True, is_mobile=True)
    page = phone.page

    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert page.evaluate("() => innerWidth") == 390
    phone.canvas.scroll_into_view_if_needed()
    box = phone.canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    assert phone.zoom() > 2
    assert phone.complaints == []
    page.context.close()
