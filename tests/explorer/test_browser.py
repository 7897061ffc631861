"""The static page of a real model, in a browser without a network: what a person sees and does there."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import triptych
from triptych.explorer import Explorer

CELL = 12
"""Pixels of the map for a pixel of an 8x8 image, at the largest size."""


@pytest.fixture(scope="module")
def page_file(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("static") / "page.html"
    explorer.save(path)
    return path


@pytest.fixture(scope="module")
def seen(page_file: Path, see: Callable) -> Any:
    return see(page_file, is_offline=True, accept_downloads=True)


@pytest.fixture(scope="module")
def model(digits_run: Path) -> triptych.TrainedModel:
    return triptych.load(digits_run, device="cpu")


@pytest.fixture(autouse=True)
def _no_complaints(seen: Any) -> Any:
    yield
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "blob:", "data:"))] == []


def unit(explorer: Explorer) -> np.ndarray:
    vectors = explorer.payload.column("embedding").astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def place(explorer: Explorer, seen: Any, row: int, *, layout: str = "tsne") -> tuple[float, float]:
    """Where on the screen an image must be: the map centred, upright, 28 pixels from the frame."""
    points = explorer.payload.column(layout).astype(float) * [1, -1]
    low, high = points.min(0), points.max(0)
    box = seen.map.bounding_box()
    scale = (min(box["width"], box["height"]) / 2 - 28) / ((high - low).max() / 2)
    x, y = (points[row] - (low + high) / 2) * scale
    return box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y


# 1. The static page has the model inside


def test_the_reconstruction_is_that_of_the_model(seen: Any, explorer: Explorer, model: triptych.TrainedModel) -> None:
    seen.pin("test/17")

    shown = seen.decoded(seen.page.get_by_label("Reconstruction of the image"))

    expected = model.reconstruct(explorer.collection.images[17])[0]
    assert shown.shape == (8, 8)
    np.testing.assert_allclose(shown, expected, atol=2)


# 2. The map


def test_images_lie_at_their_own_places_when_zoomed_in(seen: Any, explorer: Explorer) -> None:
    for row in (3, 120, 311):
        seen.page.get_by_role("button", name="Whole map").click()
        seen.page.wait_for_timeout(400)
        x, y = place(explorer, seen, row)
        seen.page.mouse.move(x, y)
        seen.pin(f"test/{row}")
        seen.map.focus()
        for _ in range(20):
            seen.page.keyboard.press("+")
        seen.settle()
        box = seen.map.bounding_box()
        seen.page.mouse.move(x + 1, y)
        assert f"test/{row}" in seen.page.locator(".card").inner_text()
        shown = seen.pixels(seen.page.locator('[data-testid="map-0"] canvas').first)
        left, top = x - box["x"] - 4 * CELL, y - box["y"] - 4 * CELL
        centres = [int(CELL * (cell + 0.5)) for cell in range(8)]
        found = np.array([[shown[int(top) + down, int(left) + right, 0] for right in centres] for down in centres])
        own = explorer.collection.images[row][0].numpy()
        errors = abs(found.astype(int) - explorer.collection.images[:][:, 0].numpy().astype(int)).mean((1, 2))
        assert errors.argmin() in np.flatnonzero((explorer.collection.images[:][:, 0].numpy() == own).all((1, 2)))
    seen.page.get_by_role("button", name="Whole map").click()


def test_the_legend_counts_and_filters(seen: Any, explorer: Explorer) -> None:
    labels = explorer.payload.column("label")
    threes = seen.by("legend").get_by_role("button", name=re.compile(r"^3\b"))
    assert str((labels == 3).sum()) in threes.inner_text()

    threes.click()

    assert f"{(labels != 3).sum()} of 360 images shown" in seen.by("shown-count").inner_text()
    threes.click()
    assert "360 of 360" in seen.by("shown-count").inner_text()


def test_every_colouring_has_a_legend(seen: Any) -> None:
    choices = seen.by("colour-by").locator("option").all()
    titles = [choice.inner_text() for choice in choices]

    assert titles[:6] == [
        *("Label", "Predicted class", "Classification error", "Confidence", "Reconstruction error"),
        "Suspicion of a label error",
    ]
    for choice in choices:
        seen.by("colour-by").select_option(choice.get_attribute("value"))
        assert seen.by("legend").locator("button").count() > 0
    seen.by("colour-by").select_option("label")


@pytest.mark.parametrize(("text", "row"), [("test/42", 42), ("359", 359)])
def test_images_are_found_by_name_and_row(seen: Any, text: str, row: int) -> None:
    seen.by("find").fill(text)
    seen.page.locator(".find .results button").first.click()

    assert seen.by("image-panel").get_attribute("data-point") == str(row)
    seen.by("find").fill("")


def test_the_whole_map_stays_when_an_outermost_image_is_opened(seen: Any, explorer: Explorer) -> None:
    seen.page.get_by_role("button", name="Whole map").click()
    seen.page.wait_for_timeout(400)
    points = explorer.payload.column("tsne")
    row = int(points[:, np.ptp(points, axis=0).argmax()].argmax())

    seen.pin(f"test/{row}")
    seen.page.wait_for_timeout(400)

    seen.page.mouse.move(*place(explorer, seen, row))
    assert f"test/{row}" in seen.page.locator(".card").inner_text()


def test_a_lasso_selects_and_exports(seen: Any, explorer: Explorer, tmp_path: Path) -> None:
    seen.page.get_by_role("button", name="Whole map").click()
    seen.by("tool-lasso").click()
    box = seen.map.bounding_box()
    corners = [(2, 2), (box["width"] / 2, 2), (box["width"] / 2, box["height"] - 2), (2, box["height"] - 2), (2, 2)]
    seen.page.wait_for_timeout(400)
    seen.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    seen.page.mouse.down()
    for x, y in corners:
        seen.page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    seen.page.mouse.up()
    seen.by("tool-pan").click()

    middle = box["x"] + box["width"] / 2
    inside = [row for row in range(360) if place(explorer, seen, row)[0] < middle]
    assert seen.by("selection-count").inner_text() == str(len(inside))
    with seen.page.expect_download() as download:
        seen.by("export-csv").click()
    download.value.save_as(tmp_path / "selection.csv")
    rows = list(csv.DictReader((tmp_path / "selection.csv").open()))
    assert [row["path"] for row in rows] == [f"test/{row}" for row in inside]
    labels, predictions = explorer.payload.column("label"), explorer.payload.column("prediction")
    assert [row["label"] for row in rows] == [str(labels[row]) for row in inside]
    assert [row["prediction"] for row in rows] == [str(predictions[row]) for row in inside]
    with seen.page.expect_download() as download:
        seen.by("export-parquet").click()
    download.value.save_as(tmp_path / "selection.parquet")
    table = pq.read_table(tmp_path / "selection.parquet").to_pydict()
    assert {name: list(map(str, table[name])) for name in ("path", "split", "index", "label", "prediction")} == {
        name: [row[name] for row in rows] for name in ("path", "split", "index", "label", "prediction")
    }
    np.testing.assert_array_equal(np.array(table["embedding"]), explorer.payload.column("embedding")[inside])
    np.testing.assert_array_equal(table["confidence"], explorer.payload.column("confidence")[inside])
    (counted,) = duckdb.sql(f"SELECT count(*), max(len(embedding)) FROM '{tmp_path / 'selection.parquet'}'").fetchall()
    assert counted == (len(inside), explorer.payload.column("embedding").shape[1])


# 3. One image


def test_neighbours_are_the_nearest_and_lead_on(seen: Any, explorer: Explorer) -> None:
    vectors, labels, row = unit(explorer), explorer.payload.column("label"), 25
    similarity = vectors @ vectors[row]
    similarity[row] = -np.inf
    seen.pin(f"test/{row}")

    listed = seen.page.get_by_label("Ten nearest neighbours").locator("button")
    listed.first.wait_for()
    names = [one.get_attribute("title") for one in listed.all()]
    found = similarity[[int(name.split("/")[1]) for name in names]]

    np.testing.assert_allclose(found, np.sort(similarity)[::-1][:10], atol=2e-3)
    other = np.where(labels != labels[row], similarity, -np.inf).max()
    same = np.where(labels == labels[row], similarity, np.inf)
    same[row] = np.inf
    hardest = [
        seen.page.get_by_label(title).locator("button").first.get_attribute("title")
        for title in ("Hardest negative", "Hardest positive")
    ]
    negative, positive = (int(name.split("/")[1]) for name in hardest)
    assert labels[negative] != labels[row] == labels[positive]
    assert similarity[negative] == pytest.approx(other, abs=2e-3)
    assert similarity[positive] == pytest.approx(same.min(), abs=2e-3)
    listed.nth(1).click()
    assert seen.by("image-panel").get_attribute("data-point") == names[1].split("/")[1]


def test_arrow_keys_walk_through_neighbours(seen: Any, explorer: Explorer) -> None:
    seen.pin("test/25")
    listed = seen.page.get_by_label("Ten nearest neighbours").locator("button")
    listed.first.focus()

    seen.page.keyboard.press("ArrowRight")

    assert seen.page.evaluate("document.activeElement.title") == listed.nth(1).get_attribute("title")
    seen.map.focus()
    seen.page.keyboard.press("ArrowUp" if place(explorer, seen, 25)[1] > 500 else "ArrowDown")
    seen.page.wait_for_selector('[data-testid="image-panel"]:not([data-point="25"])')


# 4. Your image


def test_a_file_is_embedded_and_placed(
    seen: Any, explorer: Explorer, model: triptych.TrainedModel, tmp_path: Path
) -> None:
    pixels = explorer.collection.images[33][0].numpy()
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    seen.tab("yours")

    seen.by("file").set_input_files(tmp_path / "mine.png")

    seen.by("yours-result").wait_for(timeout=120_000)
    names, probabilities = model.classify(pixels)
    told = seen.by("yours-prediction").inner_text()
    assert f"Predicted {names[0]}, confidence" in told
    assert f"{probabilities.max() * 100:.1f} %" in told or probabilities.max() > 0.99
    nearest = seen.page.get_by_label("Nearest neighbours of your image").locator("button").first
    assert nearest.get_attribute("title") == "test/33"
    assert float(nearest.inner_text().split()[-1]) > 0.999


def test_on_the_map_of_principal_axes_your_image_is_projected(seen: Any, explorer: Explorer) -> None:
    seen.page.get_by_role("button", name="PCA").click()
    seen.page.get_by_role("button", name="Whole map").click()
    seen.page.wait_for_timeout(600)
    seen.settle()
    box, (x, y) = seen.map.bounding_box(), place(explorer, seen, 33, layout="pca")
    shown = seen.pixels(seen.map)
    accent = [11, 110, 143, 255]

    # The frame of the image, 3 pixels around 48.
    left = shown[round(y - box["y"]), round(x - box["x"]) - 26 : round(x - box["x"]) - 24]
    above = shown[round(y - box["y"]) - 26 : round(y - box["y"]) - 24, round(x - box["x"])]
    seen.page.get_by_role("button", name="t-SNE").click()
    assert accent in left.tolist()
    assert accent in above.tolist()


def test_a_pasted_image_is_embedded(seen: Any) -> None:
    seen.tab("yours")
    seen.page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 20, height: 20});
          canvas.getContext("2d").fillRect(0, 0, 20, 20);
          const blob = await new Promise(done => canvas.toBlob(done));
          const data = new DataTransfer();
          data.items.add(new File([blob], "pasted.png", {type: "image/png"}));
          window.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }"""
    )

    seen.by("yours-result").wait_for(timeout=60_000)


def test_a_drawn_digit_is_embedded(seen: Any) -> None:
    seen.tab("image")
    seen.tab("yours")
    remove = seen.page.get_by_role("button", name="Remove")
    if remove.count():
        remove.click()
    box = seen.by("draw").bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=8)
    seen.page.mouse.up()

    seen.by("yours-result").wait_for(timeout=60_000)
    assert "Predicted" in seen.by("yours-prediction").inner_text()


# 5. The latent space


def test_the_slider_leads_from_one_image_to_the_other(
    seen: Any, explorer: Explorer, model: triptych.TrainedModel
) -> None:
    for row, name in ((10, "Set as A"), (200, "Set as B")):
        seen.pin(f"test/{row}")
        seen.page.get_by_role("button", name=name).click()
    seen.tab("latent")
    latents = explorer.payload.column("latent").astype(np.float32)

    for share in (0.0, 1.0, 0.5):
        seen.by("between").fill(str(share))
        seen.page.wait_for_timeout(300)
        canvas = seen.page.get_by_label("of the way from A to B")
        shown = seen.decoded(canvas)
        if share in (0.0, 1.0):  # between them the way may be curved
            expected = model.decode(latents[[10 if share == 0 else 200]])[0]
            np.testing.assert_allclose(shown, expected, atol=2)


def test_dimensions_and_samples_change_the_image(seen: Any) -> None:
    seen.pin("test/10")
    seen.tab("latent")
    canvas = seen.page.get_by_label("after moving along latent dimensions")
    before = seen.decoded(canvas)
    slider = seen.by("dimension").first
    slider.fill("3" if float(slider.input_value()) < 0 else "-3")
    seen.page.wait_for_timeout(400)
    assert abs(seen.pixels(canvas)[..., 0].astype(int) - before).max() > 10

    samples = seen.page.locator("canvas.samples")
    prior = seen.decoded(samples)
    seen.by("sample-source").select_option("3")
    seen.page.wait_for_timeout(400)
    assert (seen.pixels(samples)[..., 0] != prior).any()


def test_decoded_images_lie_over_the_map(seen: Any) -> None:
    seen.page.get_by_role("button", name="Whole map").click()
    seen.page.wait_for_timeout(400)
    seen.tab("latent")
    before = seen.pixels(seen.map)

    seen.by("decoded-grid").check()
    seen.page.wait_for_timeout(2000)

    assert (seen.pixels(seen.map) != before).mean() > 0.02
    seen.by("decoded-grid").uncheck()


# 9. For everybody


@pytest.mark.parametrize("tab", ["image", "selection", "yours", "latent", "labels"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(seen: Any, tab: str, theme: str) -> None:
    seen.choose_theme(theme)
    if tab == "image":
        seen.pin("test/25")
    seen.tab(tab)

    assert seen.serious() == []


@pytest.mark.parametrize("width", [1920, 1280, 390])
def test_nothing_is_cut_off(seen: Any, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.settle()

    wide = seen.page.evaluate("document.documentElement.scrollWidth")

    seen.page.set_viewport_size({"width": 1280, "height": 900})
    assert wide <= width


def test_the_keyboard_reaches_everything(seen: Any) -> None:
    seen.page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        seen.page.keyboard.press("Tab")
        reached.add(seen.page.evaluate("document.activeElement.dataset.testid ?? document.activeElement.tagName"))

    assert {"find", "colour-by", "CANVAS", "theme"} <= reached
    assert any(name.startswith("tab-") for name in reached)
