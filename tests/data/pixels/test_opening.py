"""Files that are no images, or not whole: one reason for each, no waiting, and no trust in global switches."""

import io
import os
import pickle
import socket
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from triptych.data.pixels.decoding import decode, looks_grey, measure
from triptych.data.pixels.opening import EXTENSIONS, MAX_PIXELS, UndecodableImage
from triptych.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def encoded(form: str, pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels) if form == "NPY" else Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


FORMS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "NPY")
WHOLE = {form: encoded(form) for form in FORMS}


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(9999))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def array_of(*shape: int, kind: str = "|u1") -> bytes:
    """A NumPy file that claims a shape and holds a few bytes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(9)


NO_IMAGES = {
    "nothing": (b"", "is none of JPEG, .* it is empty"),
    "text": (b"This only calls itself a photograph.", r"is none of JPEG, .* it begins with b'This only calls '"),
    "a page": (b"<!doctype html>", "is none of JPEG"),
    "a format that starts programs": (b"%!PS-Adobe-3.0 EPSF-3.0", "is none of JPEG"),
    "a bomb that Pillow would warn of": (png_of(10_000, 9_000), r"has 10,000 x 9,000 pixels, more than the 89,478,485"),
    "a bomb that Pillow would reject": (png_of(60_000, 60_000), r"has 60,000 x 60,000 pixels, more than"),
    "an array as a bomb": (array_of(60_000, 60_000, 3), r"has 60,000 x 60,000 pixels, more than"),
    "an array of too many channels": (array_of(9, 9, 10**12), "is damaged or cut off .9 bytes of pixels instead of"),
    "an array of no images": (array_of(4, kind="<f8"), r"holds float64 of shape \(4,\), where uint8 \(H, W\) or"),
    "an array without rows": (array_of(0, 5), "has no pixels"),
    "an array of objects": (array_of(2, 2, kind="|O"), "holds object of shape"),
    "a JPEG of three bytes": (b"\xff\xd8\xff", "is damaged or cut off"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
@pytest.mark.parametrize("use", [decode, measure, looks_grey])
def test_what_is_no_image_has_one_reason(tmp_path, kind, use):
    content, words = NO_IMAGES[kind]
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UndecodableImage, match=words) as from_file:
            use(file)
        with pytest.raises(UndecodableImage, match=words) as from_bytes:
            use(content)
    assert isinstance(from_file.value, DataError)
    assert str(from_file.value) == f"{file} {from_bytes.value.reason}"
    assert str(from_bytes.value).startswith("The image ")
    assert "\n" not in str(from_bytes.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_rejected(form, share):
    content = WHOLE[form]
    with pytest.raises(UndecodableImage, match=r"is damaged or cut off|is none of"):
        decode(content[: int(share * len(content))])


@settings(deadline=None, max_examples=150)
@given(
    form=st.sampled_from(FORMS),
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=9),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_lead_to_an_image_or_to_a_reason(form, places):
    content = bytearray(WHOLE[form])
    for place, byte in places:
        content[int(place**3 * len(content))] = byte  # headers above all
    with suppress(UndecodableImage):
        assert decode(bytes(content), channels=3, max_pixels=10**6).shape[2] == 3


def test_the_content_decides_and_not_the_name(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(WHOLE["PNG"])
    assert (decode(file) == PIXELS).all()
    assert measure(file).form == "PNG"
    assert ".jpg" in EXTENSIONS


def test_what_is_not_a_file_is_rejected_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket.jpg"))
    for name, reason in (
        ("pipe.jpg", "is not a file (but a pipe, socket or device)"),
        ("socket.jpg", "is not a file (but a pipe, socket or device)"),
        ("folder.jpg", "is a folder"),
        ("missing.jpg", "does not exist"),
        ("dangling.jpg", "does not exist"),
        ("loop.jpg", "cannot be opened (Too many levels of symbolic links)"),
        ("folder.jpg/x.jpg", "does not exist"),
        ("x" * 300, "cannot be opened (File name too long)"),
    ):
        with pytest.raises(UndecodableImage) as caught:
            decode(tmp_path / name)
        assert caught.value.reason == reason
    listening.close()
    with pytest.raises(UndecodableImage, match="is not a file"):
        decode(Path("/dev/zero"))


def test_a_file_that_may_not_be_read_is_rejected(tmp_path, monkeypatch):
    file = tmp_path / "photo.png"
    file.write_bytes(WHOLE["PNG"])

    def reject(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", reject)  # root, who may run this, may read everything
    with pytest.raises(UndecodableImage, match=r"photo\.png cannot be opened \(Permission denied\)"):
        decode(file)


def test_the_limit_of_pixels_is_ours_and_not_that_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(UndecodableImage, match="has 10,000 x 9,000 pixels"):
        decode(png_of(10_000, 9_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(WHOLE["PNG"]).shape == PIXELS.shape
        assert decode(WHOLE["JPEG"]).shape == PIXELS.shape
    with pytest.raises(UndecodableImage, match="has 90 x 60 pixels, more than the 5,399"):
        decode(WHOLE["PNG"], max_pixels=5399)
    assert decode(WHOLE["PNG"], max_pixels=5400).shape == PIXELS.shape
    assert MAX_PIXELS == 1024 * 1024 * 1024 // 4 // 3


def test_cut_off_files_are_rejected_where_a_library_makes_pillow_accept_them(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    cut = WHOLE["JPEG"][:-2000]
    Image.open(io.BytesIO(cut)).load()
    with pytest.raises(UndecodableImage, match="is damaged or cut off"):
        decode(cut)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_switch_of_pillow_stays_off_until_the_last_thread_ends(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    start = threading.Barrier(4)

    def rejected(number: int) -> int:
        start.wait()
        count = 0
        for place in range(60):
            try:
                decode(WHOLE["JPEG"][: -1500 - 10 * place - number])
            except UndecodableImage:
                count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rejected, range(4))) == [60] * 4
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_reason_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(UndecodableImage("is empty", "a/b.png")))
    assert (error.reason, error.name, str(error)) == ("is empty", "a/b.png", "a/b.png is empty")
