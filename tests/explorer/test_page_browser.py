"""The explorer's page in a real browser, over a payload without a model: what a person does, and what comes of it."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

COUNT = 240
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def blobs(generator: ModuleType) -> dict[str, bytes]:
    made: dict[str, bytes] = generator.payload(
        COUNT, None, None, places=np.random.default_rng(3).normal(size=(COUNT, 2))
    )
    manifest = json.loads(made["manifest"])
    manifest["model"]["classes"][3] = HOSTILE
    manifest["model"]["classes"][4] = "=1+1"
    paths = json.loads(made["paths"])
    paths[7] = f"{HOSTILE}.png"
    return made | {"manifest": json.dumps(manifest).encode(), "paths": json.dumps(paths).encode()}


@pytest.fixture(scope="module")
def opened(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, generator: ModuleType
) -> Iterator[Callable[..., Page]]:
    """Opens a page with blobs; it fails the test where the page asks a host or complains."""
    contexts = []

    def open_page(blobs: dict[str, bytes], **options: Any) -> Page:
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(generator.page_with(blobs), encoding="utf-8")
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
        page.goto(path.as_uri())
        page.complaints = complaints  # type: ignore[attr-defined]
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(opened: Callable[..., Page], blobs: dict[str, bytes]) -> Page:
    shown = opened(blobs)
    shown.wait_for_function("window.triptych?.ready")
    return shown


def column(blobs: dict[str, bytes], name: str) -> np.ndarray:
    entry = next(one for one in json.loads(blobs["manifest"])["columns"] if one["name"] == name)
    values: np.ndarray = np.frombuffer(blobs[name], np.dtype(entry["dtype"])).reshape(entry["shape"])
    return values


def place(page: Page, blobs: dict[str, bytes], point: int) -> tuple[float, float]:
    """Where a point lies on the screen while the whole map is shown."""
    points = column(blobs, "tsne").astype(float)
    low, high = points.min(0), points.max(0)
    x, y = (points[point] - (low + high) / 2) / ((high - low).max() / 2) * [1, -1]
    box = page.get_by_test_id("map-0").bounding_box()
    assert box is not None
    scale = min(box["width"], box["height"]) / 2 - 28
    return box["x"] + box["width"] / 2 + x * scale, box["y"] + box["height"] / 2 + y * scale


def lonely(blobs: dict[str, bytes]) -> int:
    """The point that is farthest from the next one."""
    points = column(blobs, "tsne").astype(float)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(COUNT) * 1e9
    return int(apart.min(1).argmax())


def test_a_click_shows_the_image_that_lies_there_and_its_neighbours(page: Page, blobs: dict[str, bytes]) -> None:
    point = lonely(blobs)
    page.get_by_label("Whole map").click()
    page.wait_for_timeout(400)
    page.mouse.click(*place(page, blobs, point))
    assert page.get_by_test_id("image-panel").get_attribute("data-point") == str(point)
    embedding = column(blobs, "embedding").astype(np.float32)
    similarity = embedding @ embedding[point]
    similarity[point] = -np.inf
    expected = np.argsort(-similarity, kind="stable")[:10].tolist()
    paths = json.loads(blobs["paths"])
    items = page.get_by_label("Ten nearest neighbours").get_by_role("button")
    items.nth(9).wait_for()
    assert [items.nth(k).get_attribute("title") for k in range(10)] == [paths[other] for other in expected]
    items.first.click()
    assert page.get_by_test_id("image-panel").get_attribute("data-point") == str(expected[0])


def test_arrow_keys_on_the_map_walk_from_image_to_image(page: Page) -> None:
    panel = page.get_by_test_id("image-panel")
    before = panel.get_attribute("data-point")
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(100)
    assert panel.get_attribute("data-point") != before


def test_names_are_text_and_never_markup(page: Page) -> None:
    page.get_by_test_id("find").fill("onerror")
    page.get_by_text(f"{HOSTILE}.png").first.wait_for()
    page.get_by_test_id("find").fill("")
    assert page.get_by_test_id("legend").get_by_text(HOSTILE).count() == 1
    assert page.locator("img").count() == 0
    assert page.title().startswith("digits")


def test_the_lasso_selects_the_points_inside_and_the_legend_hides_some(page: Page, blobs: dict[str, bytes]) -> None:
    page.get_by_label("Whole map").click()
    page.wait_for_timeout(400)
    box = page.get_by_test_id("map-0").bounding_box()
    assert box is not None
    left, top, right, bottom = box["x"] + 180, box["y"] + 120, box["x"] + 480, box["y"] + 520
    places = np.array([place(page, blobs, point) for point in range(COUNT)])
    label = column(blobs, "label")
    inside = ((places > [left, top]) & (places < [right, bottom])).all(1)
    page.get_by_test_id("legend").get_by_role("button").first.click()
    page.get_by_test_id("tool-lasso").click()
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(x, y, steps=5)
    page.mouse.up()
    page.get_by_test_id("tool-pan").click()
    assert page.get_by_test_id("selection-count").inner_text() == str(int((inside & (label != 0)).sum()))
    with page.expect_download() as download:
        page.get_by_test_id("export-csv").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert {int(row["index"]) for row in rows} == set(np.flatnonzero(inside & (label != 0)).tolist())
    assert all(row["label"] == "'=1+1" for row in rows if label[int(row["index"])] == 4)
    page.get_by_role("button", name="Show all").click()


def test_the_queue_keeps_relabels_drops_and_undoes_by_key(page: Page, blobs: dict[str, bytes]) -> None:
    page.get_by_test_id("tab-labels").click()
    queue = page.get_by_test_id("queue")
    doubts, suggestion = column(blobs, "suspicion"), column(blobs, "suggestion")
    label = column(blobs, "label")
    order = sorted(np.flatnonzero((suggestion != label) & (doubts >= 0.5)), key=lambda point: -doubts[point])
    assert len(order) > 3
    assert queue.get_attribute("data-point") == str(order[0])
    for key in ("r", "k", "d", "d", "u"):
        page.keyboard.press(key)
    assert page.get_by_test_id("correction-counts").inner_text() == "1 relabelled, 1 dropped, 1 kept"
    with page.expect_download() as download:
        page.get_by_test_id("download-corrections").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    classes = json.loads(blobs["manifest"])["model"]["classes"]
    expected = {order[0]: classes[suggestion[order[0]]], order[1]: classes[label[order[1]]], order[2]: ""}
    assert {int(row["index"]): row["label"].removeprefix("'") for row in rows} == expected
    page.reload()
    page.wait_for_function("window.triptych?.ready")
    page.get_by_test_id("tab-labels").click()
    assert page.get_by_test_id("correction-counts").inner_text() == "1 relabelled, 1 dropped, 1 kept"


def test_a_cell_of_the_confusion_matrix_selects_its_images(page: Page, blobs: dict[str, bytes]) -> None:
    label, prediction = column(blobs, "label"), column(blobs, "prediction")
    page.get_by_test_id("tab-labels").click()
    page.get_by_test_id("confusion").locator("[data-cell='11']").click()
    count = int(((label == 1) & (prediction == 1)).sum())
    assert page.get_by_test_id("selection-count").inner_text() == str(count)


def test_a_model_that_is_not_in_the_page_is_named(page: Page) -> None:
    page.get_by_test_id("tab-yours").click()
    assert "triptych explore" in page.locator("#panel").inner_text()


def test_nothing_was_asked_of_the_network_and_nothing_went_wrong(page: Page) -> None:
    assert page.complaints == []  # type: ignore[attr-defined]


def test_the_page_fits_narrow_screens(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": COUNT + 1}, f"Expected {COUNT + 1} rows in column"),
        ({"version": 2}, "Expected version 1"),
        ({"columns": []}, "Expected a column label"),
    ],
)
def test_an_invalid_payload_gives_one_clear_message(
    opened: Callable[..., Page], blobs: dict[str, bytes], change: dict[str, Any], message: str
) -> None:
    manifest = json.loads(blobs["manifest"]) | change
    shown = opened(blobs | {"manifest": json.dumps(manifest).encode()})
    shown.get_by_test_id("invalid").wait_for()
    assert message in shown.get_by_test_id("invalid").inner_text()


def test_a_damaged_column_gives_one_clear_message(opened: Callable[..., Page], blobs: dict[str, bytes]) -> None:
    shown = opened(blobs | {"label": blobs["label"][:-4]})
    shown.get_by_test_id("invalid").wait_for()
    assert "bytes in column label" in shown.get_by_test_id("invalid").inner_text()
