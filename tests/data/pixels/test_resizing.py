"""Images of any size come to one size: whole with bars, cut at the middle, or stretched; and antialiased."""

import io
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych.data.pixels import opening, resizing
from triptych.data.pixels.decoding import decode
from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.resizing import decode_and_fit, fit

RANDOM = np.random.default_rng(0)
WAYS = ("letterbox", "crop", "stretch")


@settings(deadline=None, max_examples=120)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 2, 3, 5])),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    how=st.sampled_from(WAYS),
)
def test_any_image_comes_to_the_size_and_one_of_one_colour_keeps_it(shape, size, how):
    colour = np.arange(10, 10 + 40 * shape[2], 40, dtype=np.uint8)
    fitted = fit(np.broadcast_to(colour, shape).copy(), size, how=how)
    assert fitted.dtype == np.uint8
    assert fitted.shape == (*size, shape[2])
    is_image = (fitted == colour).all(-1)
    is_bar = (fitted == 0).all(-1)
    assert (is_image | is_bar).all()
    if how != "letterbox":
        assert is_image.all()
    else:
        rows, columns = is_image.any(1).sum(), is_image.any(0).sum()
        assert is_image.sum() == rows * columns
        scale = min(size[0] / shape[0], size[1] / shape[1])
        assert abs(rows - scale * shape[0]) <= 0.5 or rows == 1
        assert abs(columns - scale * shape[1]) <= 0.5 or columns == 1
        for filled in (is_image.any(1), is_image.any(0)):
            before, after = filled.argmax(), filled[::-1].argmax()
            assert after - before in (0, 1)


def test_bars_have_the_configured_brightness():
    fitted = fit(np.full((4, 8, 3), 9, np.uint8), (8, 8), bars=200)
    assert fitted[:, 0, 0].tolist() == [200, 200, 9, 9, 9, 9, 200, 200]


@pytest.mark.parametrize("turned", [False, True])
def test_crop_keeps_the_middle(turned):
    wide = np.zeros((4, 12, 1), np.uint8)
    wide[:, 4:8] = 255
    image = wide.transpose(1, 0, 2).copy() if turned else wide
    assert (fit(image, (4, 4), how="crop") == 255).all()
    stretched = fit(image, (3, 3), how="stretch").mean(axis=1 if turned else 0)[:, 0]
    assert stretched == pytest.approx([20, 215, 20], abs=5)  # the filter reaches over the edges


def test_no_size_is_cropped_beyond_its_edges():
    # 1 / (1 / 49) is more than 49 in floating point.
    for side in range(1, 120):
        for size in (1, 3, 32, 224):
            tall = np.full((2 * side, side, 1), 7, np.uint8)
            assert (fit(tall, (size, size), how="crop") == 7).all()
            assert (fit(tall.transpose(1, 0, 2).copy(), (size, size), how="crop") == 7).all()


def test_an_image_of_the_size_stays_as_it_is():
    image = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
    for how in WAYS:
        assert (fit(image, (8, 8), how=how) == image).all()


def test_reduction_averages_instead_of_picking_pixels():
    # Stripes of one pixel: a resampling that skips pixels gives black, white or a moiré.
    stripes = np.zeros((256, 256, 1), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(fit(stripes, (32, 32)).astype(int) - 127.5).max() < 3


def test_reduction_is_close_to_the_full_antialiased_filter():
    image = np.asarray(
        Image.fromarray(RANDOM.integers(0, 256, (30, 40, 3), np.uint8)).resize((400, 300), Image.Resampling.BICUBIC)
    )
    exact = np.asarray(Image.fromarray(image).resize((48, 36), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(fit(image, (36, 48)) - exact).mean() < 2  # noise at the limit of resolution is the worst case


def test_channels_are_resampled_alike_whatever_their_number():
    image = RANDOM.integers(0, 256, (31, 47, 5), np.uint8)
    for how in WAYS:
        fitted = fit(image, (16, 16), how=how)
        assert (fitted[..., :3] == fit(image[..., :3].copy(), (16, 16), how=how)).all()
        assert (fitted[..., [4]] == fit(image[..., [4]].copy(), (16, 16), how=how)).all()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_is_decoded_small_with_nearly_the_same_result(how, channels):
    smooth = Image.fromarray(RANDOM.integers(0, 256, (6, 8, 3), np.uint8)).resize((1200, 900), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    smooth.save(stream, "JPEG", quality=95)
    source = stream.getvalue()
    fitted = decode_and_fit(source, size=(64, 64), how=how, channels=channels)
    whole = fit(decode(source, channels=channels), (64, 64), how=how)
    assert fitted.shape == (64, 64, channels)
    assert np.abs(fitted.astype(int) - whole).mean() < 1.5


def test_what_cannot_be_decoded_is_not_fitted():
    with pytest.raises(UndecodableImage):
        decode_and_fit(b"no image", size=(8, 8))


def test_threads_resize_no_more_pixels_at_once_than_they_may_hold(tmp_path, monkeypatch):
    """An image of 88 megapixels takes 600 MB until it has its final size, not only until it is decoded."""
    monkeypatch.setattr(opening, "_ROOM", opening._Room(64 * 64))
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.new("RGB", (64, 64)).save(path)
    inside, most, fitted = [0], [0], resizing.fit

    def counted(*arguments, **options):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        try:
            return fitted(*arguments, **options)
        finally:
            inside[0] -= 1

    monkeypatch.setattr(resizing, "fit", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: decode_and_fit(path, size=(8, 8)), paths))

    assert most == [1]
    assert {pixels.shape for pixels in found} == {(8, 8, 3)}


MEMORY = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from triptych.data.pixels import converting, opening
from triptych.data.pixels.resizing import decode_and_fit
from triptych.data.pixels.traits import traits_of, white_level
opening._ROOM = opening._Room(12_000_000)
converting.STRIP = 1 << 19
paths = sorted(Path(sys.argv[1]).glob("*.png"))
most = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
before = most()
traits_of(paths, threads=3)
white_level(paths, threads=3)
with ThreadPoolExecutor(3) as pool:
    list(pool.map(lambda path: decode_and_fit(path, size=(8, 8)), paths))
print(most() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the largest memory is read from Linux")
def test_large_images_are_in_memory_one_at_a_time_and_once(tmp_path):
    """Three images of 12 megapixels need about the 48 MB of one."""
    ramp = np.broadcast_to(np.arange(4000) // 16, (3000, 4000))
    Image.fromarray(np.stack([ramp] * 3, axis=2).astype(np.uint8)).save(tmp_path / "0.png", compress_level=1)
    for number in (1, 2):
        shutil.copy(tmp_path / "0.png", tmp_path / f"{number}.png")
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 110_000, ended.stdout  # KiB
