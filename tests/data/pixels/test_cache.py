import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.data.pixels import cache as cache_module
from triptych.data.pixels.cache import Form, cache_entries, decode_once, remove_entry
from triptych.data.pixels.resizing import decode_and_fit

FORM = Form((3, 8, 6), "stretch")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(7):
        pixels = generator.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "3.png").write_text("no picture")
    return sorted(folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every source that is decoded in this process."""
    seen: list[object] = []

    def counted(source, **options):
        seen.append(source)
        return decode_and_fit(source, **options)

    monkeypatch.setattr(cache_module, "decode_and_fit", counted)
    return seen


def decode(photos, cache, **options):
    return decode_once(photos, options.pop("form", FORM), origin="read from photos", cache=cache, **options)


@pytest.mark.parametrize("threads", [0, 3])
def test_pixels_are_those_of_the_decoder_and_the_refused_are_named(photos, cache, threads, monkeypatch):
    monkeypatch.setattr(cache_module, "AT_ONCE", 2)

    images = decode(photos, cache, threads=threads)

    assert images.images.shape == (7, 3, 8, 6)
    assert list(images.refused) == [3]
    assert "none of JPEG" in images.refused[3]
    for number, photo in enumerate(photos):
        if number != 3:
            expected = decode_and_fit(photo, size=(8, 6), how="stretch", channels=3).transpose(2, 0, 1)
            assert torch.equal(images.images[number], torch.from_numpy(expected.copy()))
    assert not images.images[3].any()


def test_the_second_time_nothing_is_decoded(photos, cache, decodings):
    first = decode(photos, cache)
    assert len(decodings) == 7

    second = decode(photos, cache)

    assert len(decodings) == 7
    assert torch.equal(first.images[:], second.images[:])
    assert first.refused == second.refused


def test_copied_renamed_and_touched_images_are_found_again(photos, cache, decodings, tmp_path):
    decode(photos, cache)

    os.utime(photos[0], (1, 1))
    decode(photos, cache)
    copies = [Path(shutil.copy(photo, tmp_path / f"copy-{photo.name}")) for photo in photos]
    decode(copies, cache)
    decode([photo.read_bytes() for photo in photos], cache)

    assert len(decodings) == 7
    assert len(cache_entries(cache)) == 1


def test_a_changed_image_and_another_form_are_decoded(photos, cache, decodings):
    decode(photos, cache)
    Image.new("RGB", (5, 5), "red").save(photos[1])

    changed = decode(photos, cache)
    assert changed.images[1][0].min() == 255
    assert len(decodings) == 14

    decode(photos, cache, form=Form((1, 8, 6), "stretch"))
    decode(photos, cache, form=Form((3, 8, 6), "crop"))
    decode(photos[::-1], cache)
    assert len(decodings) == 35
    assert len(cache_entries(cache)) == 5


def test_what_was_missing_is_decoded_when_it_is_there(photos, cache):
    pixels = photos[2].read_bytes()
    photos[2].unlink()
    assert 2 in decode(photos, cache).refused

    photos[2].write_bytes(pixels)
    assert list(decode(photos, cache).refused) == [3]


def test_an_entry_that_lost_pixels_is_made_again(photos, cache):
    whole = decode(photos, cache).images[:].clone()
    (entry,) = cache_entries(cache)
    (entry.folder / "pixels").write_bytes(b"short")

    assert torch.equal(decode(photos, cache).images[:], whole)


def test_a_failure_leaves_nothing_behind(photos, cache, monkeypatch):
    def broken(source, **options):
        if source == photos[5]:
            raise OSError(28, "No space left on device")
        return decode_and_fit(source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode_and_fit", broken)
        with pytest.raises(OSError, match="No space left"):
            decode(photos, cache)

    assert cache_entries(cache) == []
    assert not list(cache.glob(".*"))
    assert len(decode(photos, cache).images[:]) == 7


PROCESS = """
import sys, time
from pathlib import Path
from triptych.data.pixels import cache
real, log = cache.decode_and_fit, Path(sys.argv[3])

def slow(source, **options):
    with log.open("a") as file:
        file.write("x")
    time.sleep(0.05)
    return real(source, **options)

cache.decode_and_fit = slow
photos = sorted(Path(sys.argv[1]).iterdir())
images = cache.decode_once(photos, cache.Form((3, 8, 6), "stretch"), origin="", cache=Path(sys.argv[2]))
print(int(images.images[:].long().sum()))
"""


def run(photos, cache, log) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROCESS, str(photos[0].parent), str(cache), str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_decodes_and_both_have_the_images(photos, cache, tmp_path):
    log = tmp_path / "log"
    processes = [run(photos, cache, log) for _ in range(2)]

    sums = {int(process.communicate(timeout=120)[0]) for process in processes}

    assert sums == {int(decode(photos, cache).images[:].long().sum())}
    assert log.read_text() == "x" * 7


def test_after_a_process_was_killed_the_images_are_decoded_anew(photos, cache, tmp_path):
    log = tmp_path / "log"
    process = run(photos, cache, log)
    deadline = time.monotonic() + 100
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert cache_entries(cache) == []

    images = decode(photos, cache)

    assert list(images.refused) == [3]
    assert len(cache_entries(cache)) == 1
    assert not list(cache.glob(".*"))


def test_entries_tell_what_they_hold_and_can_be_removed(photos, cache):
    images = decode(photos, cache)
    decode(photos[:2], cache)

    last, first = cache_entries(cache)

    assert (last.images, first.images) == (2, 7)
    assert (first.origin, first.form, first.refused) == ("read from photos", FORM, 1)
    assert first.size > 7 * 3 * 8 * 6
    remove_entry(first)
    assert [entry.folder for entry in cache_entries(cache)] == [last.folder]
    assert int(images.images[:].long().sum()) > 0  # whoever has it open keeps it


def test_progress_is_told_from_nothing_to_all(photos, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "AT_ONCE", 3)
    told: list[tuple[str, int, int]] = []

    decode(photos, cache, progress=lambda *step: told.append(step))

    assert told == [(doing, done, 7) for doing in ("reading", "decoding") for done in (0, 3, 6, 7)]
