"""From a folder as people have it, with all that is unusual in it, to fitted pixels in three splits."""

import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from triptych.data.own.folder import list_folder
from triptych.data.pixels.decoding import looks_grey
from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.resizing import decode_and_fit
from triptych.data.splits.dividing import complete_splits

RANDOM = np.random.default_rng(0)
SMOOTH = Image.fromarray(RANDOM.integers(0, 256, (5, 7, 3), np.uint8)).resize((140, 100), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, form, **options)
    return stream.getvalue()


def array(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


GREY = SMOOTH.convert("L")
ALPHA = SMOOTH.copy()
ALPHA.putalpha(GREY)
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
JPEG = encoded(SMOOTH, "JPEG")
GOOD = {
    "photo.jpg": JPEG,
    "PHOTO 2.JPEG": encoded(SMOOTH, "JPEG", progressive=True),
    "grey.jpg": encoded(GREY, "JPEG"),
    "grey as colour.jpg": encoded(GREY.convert("RGB"), "JPEG"),
    "print.jpg": encoded(SMOOTH.convert("CMYK"), "JPEG"),
    "sideways.jpg": encoded(SMOOTH, "JPEG", exif=turned(6)),
    "mirrored.jpg": encoded(SMOOTH, "JPEG", exif=turned(5)),
    "really a png.jpg": encoded(SMOOTH, "PNG"),
    "plain.png": encoded(SMOOTH, "PNG"),
    "alpha.png": encoded(ALPHA, "PNG"),
    "grey alpha.png": encoded(ALPHA.convert("LA"), "PNG"),
    "palette.png": encoded(SMOOTH.quantize(16), "PNG"),
    "palette hole.png": encoded(SMOOTH.quantize(16), "PNG", transparency=3),
    "1 bit.png": encoded(SMOOTH.convert("1"), "PNG"),
    "16 bit.png": encoded(DEEP, "PNG"),
    "🐈.webp": encoded(SMOOTH, "WEBP"),
    "alpha.webp": encoded(ALPHA, "WEBP"),
    "moving.webp": encoded(SMOOTH, "WEBP", save_all=True, append_images=[GREY.convert("RGB")]),
    "moving.gif": encoded(SMOOTH.quantize(64), "GIF", save_all=True, append_images=[GREY.quantize(64)]),
    "plain.bmp": encoded(SMOOTH, "BMP"),
    "plain.tif": encoded(SMOOTH, "TIFF"),
    "lzw.tiff": encoded(SMOOTH, "TIFF", compression="tiff_lzw"),
    "16 bit.tif": encoded(DEEP, "TIFF"),
    "float.tif": encoded(Image.fromarray(np.asarray(GREY).astype(np.float32) / 255), "TIFF"),
    "ink.tif": encoded(SMOOTH.convert("CMYK"), "TIFF"),
    "pages.tif": encoded(SMOOTH, "TIFF", save_all=True, append_images=[GREY.copy()]),
    "array.npy": array(np.asarray(SMOOTH)),
    "thin.png": encoded(SMOOTH.resize((400, 1)), "PNG"),
    "dot.png": encoded(SMOOTH.resize((1, 1)), "PNG"),
    "large.jpg": encoded(SMOOTH.resize((1400, 1000)), "JPEG"),
}
BAD = {
    "cut.jpg": (JPEG[: len(JPEG) // 2], "damaged or cut off"),
    "empty.jpg": (b"", "it is empty"),
    "text.jpg": (b"Just a note.", "it begins with"),
    "page.png": (b"<html>", "it begins with"),
    "cut.webp": (encoded(SMOOTH, "WEBP")[:200], "damaged or cut off"),
    "infrared.npy": (array(np.zeros((4, 4, 5), np.uint8)), "has 5 channels, where 3 are expected"),
    "hot.tif": (encoded(Image.fromarray(np.full((3, 3), 300.0, np.float32)), "TIFF"), "values from 300 to 300"),
    "wide.png": (encoded(Image.new("1", (3000, 3000)), "PNG"), "3,000 x 3,000 pixels, more than the 2,000,000"),
}
OTHERS = ("Thumbs.db", ".DS_Store", "notes.txt", "film.mp4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes, one of which is a link, with all files in one of them."""
    root = tmp_path / "my photos"
    for name, content in {**GOOD, **{name: content for name, (content, _) in BAD.items()}}.items():
        path = root / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in OTHERS:
        (root / "odd" / name).write_bytes(b"x")
    os.mkfifo(root / "odd" / "pipe.jpg")
    (root / "odd" / "circle").symlink_to("..")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in range(10):
        (elsewhere / f"{number}.jpg").write_bytes(JPEG)
    (root / "linked").symlink_to(elsewhere)
    (root / "empty").mkdir()
    return root


def test_every_file_becomes_pixels_or_a_reason(folder, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as some libraries leave it
    listing = list_folder(folder)
    assert listing.classes == ("linked", "odd")
    assert Counter(listing.labels.tolist()) == {0: 10, 1: len(GOOD) + len(BAD)}
    notes = " ".join(listing.notes)
    for words in ("1 class folders without images: empty", "odd/circle", "1 .mp4", "1 .txt", "2 hidden"):
        assert words in notes

    def fitted(place: int) -> np.ndarray | str:
        try:
            return decode_and_fit(listing.sources[place], size=(24, 32), channels=3, max_pixels=2_000_000)
        except UndecodableImage as error:
            return error.reason

    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(listing.names, pool.map(fitted, range(len(listing))), strict=True))
    for name, (_, words) in BAD.items():
        assert words in results.pop(f"odd/{name}")
    assert all(isinstance(pixels, np.ndarray) and pixels.shape == (24, 32, 3) for pixels in results.values())

    # All good ones of colour are of one motif: what is turned or transparent apart, they look alike.
    expected = results["odd/plain.png"].astype(int)
    for name in ("photo.jpg", "PHOTO 2.JPEG", "really a png.jpg", "🐈.webp", "moving.webp", "plain.bmp", "plain.tif"):
        assert np.abs(results[f"odd/{name}"] - expected).mean() < 4, name
    for name in ("lzw.tiff", "ink.tif", "pages.tif", "array.npy", "print.jpg", "large.jpg", "moving.gif"):
        assert np.abs(results[f"odd/{name}"] - expected).mean() < 12, name
    for name in ("16 bit.png", "16 bit.tif", "float.tif", "grey as colour.jpg"):
        assert np.abs(results[f"odd/{name}"] - results["odd/grey.jpg"].astype(int)).mean() < 2, name
    grey = {name for name in GOOD if looks_grey(folder / "odd" / name)}
    assert grey == {
        *("grey.jpg", "grey as colour.jpg", "grey alpha.png", "1 bit.png", "16 bit.png", "16 bit.tif", "float.tif")
    }

    positions = complete_splits(listing, fractions=(0.1, 0.2), seed=0)
    assert [len(places) for places in positions] == [33, 5, 10]
    assert sorted(np.concatenate(positions).tolist()) == list(range(len(listing)))
