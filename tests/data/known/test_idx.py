"""IDX files: zipped and unzipped are read alike, and every way to break one gives one clear message."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from triptych.data.known.idx import find_idx, read_idx, read_idx_file
from triptych.data.known.reading import Reading
from triptych.errors import DataError

READING = Reading(shape=(1, 28, 28), classes=tuple("0123456789"))
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
REAL = Path(__file__).parents[4] / "shared" / "data"


def idx(values: np.ndarray) -> bytes:
    """Write an array by the format's description."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.tobytes()


def make(folder: Path, *, train: int = 30, test: int = 20, zipped: bool = True) -> dict[str, np.ndarray]:
    """Make the four files of a small data set and return what they hold."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for stem, count in zip(STEMS, (train, train, test, test), strict=True):
        values = random.integers(0, 256, (count, 28, 28)) if "images" in stem else np.arange(count) % 10
        arrays[stem] = values.astype(np.uint8)
        content = idx(arrays[stem])
        (folder / (f"{stem}.gz" if zipped else stem)).write_bytes(gzip.compress(content) if zipped else content)
    return arrays


@pytest.mark.parametrize("zipped", [True, False])
def test_the_four_files_are_read_as_they_were_written(tmp_path, zipped):
    arrays = make(tmp_path, zipped=zipped)
    assert find_idx(tmp_path) == tmp_path
    train, test = read_idx(tmp_path, READING)
    assert (train.images[:, 0].numpy() == arrays[STEMS[0]]).all()
    assert (train.labels.numpy() == arrays[STEMS[1]]).all()
    assert (test.images[:, 0].numpy() == arrays[STEMS[2]]).all()
    assert (test.labels.numpy() == arrays[STEMS[3]]).all()


@pytest.mark.parametrize(("name", "first_labels"), [("MNIST", [5, 0, 4, 1, 9]), ("FashionMNIST", [9, 0, 0, 3, 0])])
def test_the_real_data_sets_are_read(tmp_path, name, first_labels):
    folder = REAL / name / "raw"
    real = folder.is_dir()
    if not real:
        folder = tmp_path
        arrays = make(tmp_path, train=60, test=30)
        first_labels = arrays[STEMS[1]][:5].tolist()
    train, test = read_idx(folder, READING)
    assert (len(train), len(test)) == ((60_000, 10_000) if real else (60, 30))
    assert train.labels[:5].tolist() == first_labels
    assert train.labels.unique().tolist() == list(range(10))
    assert train.images.shape[1:] == (1, 28, 28)
    assert 0 < train.images.float().mean() < 255


def test_zipped_and_unzipped_files_may_stand_side_by_side(tmp_path):
    make(tmp_path)
    (tmp_path / STEMS[1]).write_bytes(gzip.decompress((tmp_path / f"{STEMS[1]}.gz").read_bytes()))
    (tmp_path / f"{STEMS[1]}.gz").unlink()
    assert len(read_idx(tmp_path, READING)[0]) == 30


def test_a_file_that_a_browser_unzipped_without_renaming_it_is_read(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(idx(np.array([3, 4], np.uint8)))
    assert read_idx_file(path, sizes=()).tolist() == [3, 4]


def test_a_folder_without_any_of_the_files_holds_nothing(tmp_path):
    (tmp_path / "train-images.png").touch()
    assert find_idx(tmp_path) is None
    assert find_idx(tmp_path / "nowhere") is None


def _edit(stem: str, change):
    """Change the unzipped content of a file."""

    def edit(folder: Path) -> None:
        path = folder / f"{stem}.gz"
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return edit


def _edit_zipped(stem: str, change):
    """Change the bytes of the zipped file itself."""

    def edit(folder: Path) -> None:
        path = folder / f"{stem}.gz"
        path.write_bytes(change(path.read_bytes()))

    return edit


def _folder_in_its_place(folder: Path) -> None:
    (folder / f"{STEMS[3]}.gz").unlink()
    (folder / f"{STEMS[3]}.gz").mkdir()


IMAGES, LABELS = STEMS[0], STEMS[1]
INVALID = {
    "missing file": (lambda folder: (folder / f"{LABELS}.gz").unlink(), LABELS, "no such file"),
    "folder in its place": (_folder_in_its_place, STEMS[3], "a folder of that name"),
    "empty file": (_edit_zipped(IMAGES, lambda _: b""), IMAGES, "an empty file"),
    "empty once unzipped": (_edit(IMAGES, lambda _: b""), IMAGES, "an empty file"),
    "header cut off": (_edit(IMAGES, lambda content: content[:9]), IMAGES, "header of 16 bytes.*ends after 9"),
    "values cut off": (_edit(IMAGES, lambda content: content[:-1]), IMAGES, "23,520 bytes.*cut off after 23,519"),
    "gzip cut off": (_edit_zipped(IMAGES, lambda content: content[:-900]), IMAGES, "gzip file.*cut off"),
    "gzip checksum cut off": (_edit_zipped(LABELS, lambda content: content[:-4]), LABELS, "gzip file.*cut off"),
    "gzip bytes changed": (
        _edit_zipped(IMAGES, lambda content: content[:-8] + bytes(4) + content[-4:]),
        IMAGES,
        "CRC check failed",
    ),
    "rubbish after gzip": (_edit_zipped(LABELS, lambda content: content + b"rubbish"), LABELS, "Not a gzipped file"),
    "further bytes": (_edit(LABELS, lambda content: content + b"\x01"), LABELS, "30 bytes.*further bytes"),
    "a web page": (_edit_zipped(IMAGES, lambda _: b"<html>404</html>"), IMAGES, "magic number 2051"),
    "labels for images": (
        _edit(IMAGES, lambda _: idx(np.zeros(30, np.uint8))),
        IMAGES,
        r"magic number 2051 \(images\), but received 2049",
    ),
    "images for labels": (
        _edit(LABELS, lambda _: idx(np.zeros((30, 28, 28), np.uint8))),
        LABELS,
        "2049.*received 2051",
    ),
    "floats": (_edit(IMAGES, lambda content: b"\0\0\x0d\x03" + content[4:]), IMAGES, "magic number 2051"),
    "wrong image size": (
        _edit(IMAGES, lambda _: idx(np.zeros((30, 32, 32), np.uint8))),
        IMAGES,
        "28x28 pixels, but received images of 32x32",
    ),
    "wrong count": (
        _edit(LABELS, lambda _: idx(np.zeros(29, np.uint8))),
        LABELS,
        "each of the 30 images, but received 29 labels",
    ),
    "label out of range": (
        _edit(LABELS, lambda content: content[:-1] + b"\x0a"),
        LABELS,
        "from 0 to 9, but received label 10 for image 29",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_file_gives_one_message_that_names_it(tmp_path, case):
    breaks, stem, words = INVALID[case]
    make(tmp_path)
    breaks(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(tmp_path, READING)
    assert str(tmp_path / stem) in str(caught.value)
    assert "Put a whole copy in its place" in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_header_that_lies_about_its_count_takes_no_memory(tmp_path, zipped):
    path = tmp_path / "images"
    content = bytes([0, 0, 8, 3]) + b"\xff" * 4 + (28).to_bytes(4, "big") * 2 + bytes(784)
    path.write_bytes(gzip.compress(content) if zipped else content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"at most 1,000,000 images, but received a header of 4,294,967,295"):
            read_idx_file(path, sizes=(28, 28))
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_a_small_file_that_unpacks_to_gigabytes_is_rejected_by_its_header(tmp_path):
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (5_000_000, 28, 28))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(header + bytes(100_000)))
    with pytest.raises(DataError, match=r"bomb\.gz: expected at most 1,000,000 images, but received a header of 5,000"):
        read_idx_file(tmp_path / "bomb.gz", sizes=(28, 28))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match="but received a pipe, socket or device"):
        read_idx_file(tmp_path / "train-images-idx3-ubyte", sizes=(28, 28))
