import errno
import hashlib
import io
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
from triptych.data.pixels import entries
from triptych.data.pixels.cache import decode_once
from triptych.data.pixels.entries import Form, cache_entries, remove_entry
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
def test_pixels_are_those_of_the_decoder_and_the_rejected_are_named(photos, cache, threads, monkeypatch):
    monkeypatch.setattr(cache_module, "AT_ONCE", 2)

    images = decode(photos, cache, threads=threads)

    assert images.images.shape == (7, 3, 8, 6)
    assert list(images.rejected) == [3]
    assert "none of JPEG" in images.rejected[3]
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
    assert first.rejected == second.rejected


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
    assert 2 in decode(photos, cache).rejected

    photos[2].write_bytes(pixels)
    assert list(decode(photos, cache).rejected) == [3]


def test_an_entry_that_lost_pixels_is_made_again(photos, cache):
    whole = decode(photos, cache).images[:].clone()
    (entry,) = cache_entries(cache)
    (entry.folder / "pixels").write_bytes(b"short")

    assert torch.equal(decode(photos, cache).images[:], whole)


def test_a_failure_writes_nothing(photos, cache, monkeypatch):
    def failing(source, **options):
        if source == photos[5]:
            raise OSError(28, "No space left on device")
        return decode_and_fit(source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode_and_fit", failing)
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

    assert list(images.rejected) == [3]
    assert len(cache_entries(cache)) == 1
    assert not list(cache.glob(".*"))


def test_entries_describe_themselves_and_can_be_removed(photos, cache):
    images = decode(photos, cache)
    decode(photos[:2], cache)

    last, first = cache_entries(cache)

    assert (last.images, first.images) == (2, 7)
    assert (first.origin, first.form, first.rejected) == ("read from photos", FORM, 1)
    assert first.size > 7 * 3 * 8 * 6
    remove_entry(first)
    assert [entry.folder for entry in cache_entries(cache)] == [last.folder]
    assert int(images.images[:].long().sum()) > 0  # open handles keep it


def test_progress_is_reported_from_nothing_to_all(photos, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "AT_ONCE", 3)
    steps: list[tuple[str, int, int]] = []

    decode(photos, cache, progress=lambda *step: steps.append(step))

    assert steps == [(doing, done, 7) for doing in ("reading", "decoding") for done in (0, 3, 6, 7)]


# Files that change, heal or move.


def test_projects_with_images_of_the_same_relative_names_do_not_share_them(tmp_path, cache, monkeypatch):
    for name, colour in (("one", "red"), ("two", "blue")):
        (tmp_path / name / "photos").mkdir(parents=True)
        Image.new("RGB", (9, 9), colour).save(tmp_path / name / "photos" / "1.png")
        os.utime(tmp_path / name / "photos" / "1.png", (1, 1))
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.append(decode([Path("photos/1.png")], cache).images[0][:, 0, 0].tolist())
    assert found == [[255, 0, 0], [0, 0, 255]]


def test_a_file_that_was_replaced_with_its_size_and_times_kept_is_decoded(photos, cache, tmp_path):
    Image.new("RGB", (9, 9), "red").save(photos[0], "BMP")
    before = photos[0].stat()
    decode(photos, cache)
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "new", "BMP")
    os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (tmp_path / "new").stat().st_size == before.st_size
    (tmp_path / "new").replace(photos[0])
    assert decode(photos, cache).images[0][:, 0, 0].tolist() == [0, 0, 255]


def test_a_file_that_was_written_over_with_its_times_kept_is_decoded(photos, cache):
    Image.new("RGB", (9, 9), "red").save(photos[0], "BMP")
    before = photos[0].stat()
    decode(photos, cache)
    blue = io.BytesIO()
    Image.new("RGB", (9, 9), "blue").save(blue, "BMP")
    time.sleep(0.02)  # so that the system's clock of file changes moves
    with photos[0].open("r+b") as file:
        file.write(blue.getvalue())
    os.utime(photos[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert decode(photos, cache).images[0][:, 0, 0].tolist() == [0, 0, 255]


CIRCUMSTANCES = {
    "no permission": PermissionError(errno.EACCES, "Permission denied"),
    "too many open files": OSError(errno.EMFILE, "Too many open files"),
    "a disk that fails": OSError(errno.EIO, "Input/output error"),
    "no memory": MemoryError(),
}


@pytest.mark.parametrize("case", CIRCUMSTANCES)
@pytest.mark.parametrize("everywhere", [True, False], ids=["while reading too", "while decoding alone"])
def test_circumstances_are_not_remembered(photos, cache, case, everywhere, monkeypatch):
    error, plain = CIRCUMSTANCES[case], Path.open

    def failing(self, *arguments, **options):
        in_decoding = "opening.py" in sys._getframe(1).f_code.co_filename
        if self == photos[2] and (in_decoding or (everywhere and isinstance(error, OSError))):
            raise error
        return plain(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        for _ in range(2):
            assert list(decode(photos, cache).rejected) == [2, 3]
    healed = decode(photos, cache)
    assert list(healed.rejected) == [3]
    assert healed.images[2].any()


def test_a_verdict_about_the_content_is_remembered(photos, cache, decodings):
    for _ in range(3):
        assert list(decode(photos, cache).rejected) == [3]
    assert len(decodings) == 7


# Entries that are damaged.


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "an empty description": lambda folder: (folder / "entry.json").write_bytes(b""),
    "a list as description": lambda folder: (folder / "entry.json").write_text("[1]"),
    "no description": lambda folder: (folder / "entry.json").unlink(),
    "a folder as description": lambda folder: ((folder / "entry.json").unlink(), (folder / "entry.json").mkdir()),
    "a rejected image that does not exist": lambda folder: (folder / "entry.json").write_text(
        (folder / "entry.json").read_text().replace('"3":', '"99":')
    ),
    "one flipped bit of a pixel": lambda folder: flip(folder / "pixels", 5),
    "other pixels": lambda folder: (folder / "pixels").write_bytes(bytes((folder / "pixels").stat().st_size)),
    "pixels cut off": lambda folder: (folder / "pixels").write_bytes(b"short"),
    "pixels that are gone": lambda folder: (folder / "pixels").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again_and_can_be_listed_and_removed(photos, cache, damage):
    whole = decode(photos, cache).images[:].clone()
    (entry,) = cache_entries(cache)
    DAMAGES[damage](entry.folder)

    (damaged,) = cache_entries(cache)
    assert damaged.folder == entry.folder
    again = decode(photos, cache)
    assert torch.equal(again.images[:], whole)
    assert list(again.rejected) == [3]
    (entry,) = cache_entries(cache)
    DAMAGES[damage](entry.folder)
    remove_entry(*cache_entries(cache))
    assert cache_entries(cache) == []


@pytest.mark.parametrize("content", [b"", b"../../elsewhere", b"\xff" * 32, b"0" * 32])
def test_a_damaged_record_of_files_is_passed_over(photos, cache, content):
    whole = decode(photos, cache).images[:].clone()
    (record,) = (cache / "known").iterdir()
    record.write_bytes(content)
    assert torch.equal(decode(photos, cache).images[:], whole)


def test_digests_do_not_depend_on_the_pieces_that_are_written(monkeypatch):
    monkeypatch.setattr(entries, "BLOCK", 10)
    content = bytes(range(47))
    for size in (1, 3, 10, 25, 47):
        digests = entries._Digests()
        for start in range(0, len(content), size):
            digests.add(content[start : start + size])
        blocks = [content[start : start + 10] for start in range(0, 47, 10)]
        assert digests.finished() == [hashlib.blake2b(block, digest_size=16).hexdigest() for block in blocks]


def test_an_entry_that_is_a_link_is_removed_without_what_it_leads_to(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("mine")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ("0" * 32)).symlink_to(elsewhere)
    for entry in cache_entries(cache):
        remove_entry(entry)
    assert cache_entries(cache) == []
    assert list(cache.iterdir()) == []
    assert (elsewhere / "thesis.txt").read_text() == "mine"
