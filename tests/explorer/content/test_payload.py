"""Blobs: what goes in comes out, in the page's byte order, and thumbnails are the images themselves."""

import gzip
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.explorer import Explorer, explore
from triptych.explorer.collection import of_images
from triptych.explorer.content.payload import Payload
from triptych.explorer.content.sheets import LONGEST, thumbnail_sheets


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.int32).reshape(3, 2),
        np.array([1.5, -2.0, np.nan], np.float32),
        np.array([[1], [0.1], [3]], np.float16),
        np.array([0, 255, 3], np.uint8),
        np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        np.arange(3, dtype=">i4"),
    ],
)
def test_columns_come_back_as_they_were(values: np.ndarray) -> None:
    payload = Payload({})
    payload.add_columns({"some": values}, prefix="other/")

    np.testing.assert_array_equal(payload.column("other/some"), values)
    described = json.loads(gzip.decompress(payload.manifest(live=False)))["columns"]
    assert described == [{"name": "other/some", "dtype": values.dtype.name, "shape": list(values.shape)}]


def test_the_same_model_and_images_give_the_same_bytes(explorer: Explorer, digits_run: Path) -> None:
    again = explore(digits_run)
    again.lay_out()
    explorer.lay_out()

    assert again.payload.blobs == explorer.payload.blobs
    assert again.payload.manifest(live=False) == explorer.payload.manifest(live=False)


def test_the_manifest_describes_model_and_images(explorer: Explorer) -> None:
    manifest = json.loads(gzip.decompress(explorer.payload.manifest(live=True)))
    model = manifest["model"]

    assert manifest["version"] == 1
    assert manifest["live"]
    assert manifest["count"] == len(explorer.collection) == 360
    assert manifest["corrections"] == "index"
    assert (model["channels"], model["height"], model["width"]) == (1, 8, 8)
    assert (model["embeddingDim"], model["latentDim"]) == (8, 36)
    assert (model["encoder"], model["decoder"], model["strokes"]) == ("page", "page", True)
    latents = explorer.view.outputs.reconstructed.mean.double().numpy()
    assert model["activeDimensions"] == np.argsort(-latents.var(0)).tolist()
    zeros = latents[explorer.payload.column("label") == 0]
    np.testing.assert_allclose(model["classLatents"]["mean"][0], zeros.mean(0), atol=1e-2)
    np.testing.assert_allclose(model["classLatents"]["std"][0], zeros.std(0), atol=1e-2)
    assert model["background"] == [0.0]
    assert 0 < model["metrics"]["accuracy"] <= 1
    assert model["name"].endswith("/0")
    names = json.loads(gzip.decompress(explorer.payload.blobs["paths"]))
    assert names[7] == "test/7"


def test_every_thumbnail_is_its_image(explorer: Explorer) -> None:
    sheets = thumbnail_sheets(explorer.collection)
    height, width = sheets.size
    pictures = [np.asarray(Image.open(BytesIO(picture)).convert("L")) for picture in sheets.pictures]

    assert sheets.size == (8, 8)
    for place in range(len(explorer.collection)):
        sheet, cell = divmod(place, sheets.columns * sheets.rows)
        row, column = divmod(cell, sheets.columns)
        found = pictures[sheet][row * height :, column * width :][:height, :width]
        np.testing.assert_array_equal(found, explorer.collection.images[place][0])


def test_many_images_are_spread_over_sheets(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.explorer.content.sheets.SIDE", 64)

    sheets = thumbnail_sheets(explorer.collection)

    assert (sheets.columns, sheets.rows, len(sheets.pictures)) == (8, 8, 6)
    last = np.asarray(Image.open(BytesIO(sheets.pictures[-1])).convert("L"))
    np.testing.assert_array_equal(last[32:40, 56:], explorer.collection.images[5 * 64 + 39][0])


def test_photographs_are_shrunk_and_keep_their_colours(coloured_photos: Path, tmp_path: Path) -> None:
    from triptych import load

    model = load(coloured_photos / "best.ckpt")
    Image.new("RGB", (300, 200), (200, 30, 90)).save(tmp_path / "photo.jpg", quality=95)
    form = model.description.preprocessing
    big = type(form)(shape=(3, 96, 64), fit=form.fit, pad=0)
    collection = of_images(tmp_path, _with_form(model.description, big))

    sheets = thumbnail_sheets(collection)

    assert sheets.size == (LONGEST, 32)
    pixels = np.asarray(Image.open(BytesIO(sheets.pictures[0])).convert("RGB"))
    np.testing.assert_allclose(pixels[24, 16], (200, 30, 90), atol=12)


def _with_form(description: object, form: object) -> object:
    class Described:
        preprocessing = form
        classes = description.classes  # type: ignore[attr-defined]

    return Described()


def test_unknown_classes_are_marked(coloured_photos: Path) -> None:
    shown = explore(coloured_photos / "best.ckpt", coloured_photos / "photos" / "cat")

    assert torch.equal(shown.collection.labels, torch.full((12,), -1))
    assert "suspicion" not in shown.payload.blobs
