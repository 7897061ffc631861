"""Reads the published files of CIFAR-10: pickled or binary batches, in a folder or in their tar archive.

Format: https://www.cs.toronto.edu/~kriz/cifar.html (an image is its red, then green, then blue values, by rows).
"""

import gzip
import tarfile
from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath

import numpy as np

from triptych.data.invalid import invalid, reading_from
from triptych.data.known.reading import Part, Parts, Reading, check_classes, joined, labelled
from triptych.data.known.unpickling import load_arrays

PYTHON_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
BINARY_BATCHES = tuple(f"{name}.bin" for name in PYTHON_BATCHES)
PYTHON_META, BINARY_META = "batches.meta", "batches.meta.txt"
BLOCK = 1 << 20
LARGEST = 1 << 26
"""Maximum size of a batch in bytes; those of CIFAR-10 have 31 million."""
MOST = 1 << 30
"""Maximum unpacked size of an archive in bytes: a small file can be a gzip bomb."""


def find_python_folder(folder: Path) -> Path | None:
    """Return the folder of pickled batches: `cifar-10-batches-py` in `folder`, or `folder` itself."""
    return _folder_with(PYTHON_BATCHES, (folder / "cifar-10-batches-py", folder))


def find_binary_folder(folder: Path) -> Path | None:
    """Return the folder of binary batches: `cifar-10-batches-bin` in `folder`, or `folder` itself."""
    return _folder_with(BINARY_BATCHES, (folder / "cifar-10-batches-bin", folder))


def find_archive(folder: Path, *, name: str) -> Path | None:
    """Return the archive of that name in `folder`, if it exists."""
    return folder / name if (folder / name).exists() else None


find_python_archive = partial(find_archive, name="cifar-10-python.tar.gz")
find_binary_archive = partial(find_archive, name="cifar-10-binary.tar.gz")


def read_python(place: Path, reading: Reading) -> Parts:
    """Read `data_batch_1` to `data_batch_5` and `test_batch` in a folder, or in `cifar-10-python.tar.gz`, in memory.

    Raises:
        DataError: A batch is missing, damaged, refers to code, or has other shapes or classes than expected.
    """
    contents = _contents(place, (*PYTHON_BATCHES, PYTHON_META))
    if PYTHON_META in contents:
        meta = _table(load_arrays(contents[PYTHON_META], path=place / PYTHON_META), place / PYTHON_META, "label_names")
        names = meta["label_names"]
        if isinstance(names, list):
            names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names]
        check_classes(names, reading=reading, path=place / PYTHON_META)
    return _splits(place, contents, PYTHON_BATCHES, partial(_python_batch, reading=reading))


def read_binary(place: Path, reading: Reading) -> Parts:
    """Read `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` in a folder or in `cifar-10-binary.tar.gz`.

    Raises:
        DataError: A batch is missing, truncated, or has other shapes or classes than expected.
    """
    contents = _contents(place, (*BINARY_BATCHES, BINARY_META))
    if BINARY_META in contents:
        names = contents[BINARY_META].decode("latin1").split()
        check_classes(names, reading=reading, path=place / BINARY_META)
    return _splits(place, contents, BINARY_BATCHES, partial(_binary_batch, reading=reading))


def _python_batch(content: bytes, path: Path, *, reading: Reading) -> Part:
    """Read a pickled dictionary of `data`, uint8 (N, C*H*W), and `labels`, N integers."""
    batch = _table(load_arrays(content, path=path), path, "data", "labels")
    data, length = batch["data"], prod(reading.shape)
    if not isinstance(data, np.ndarray):
        raise invalid(path, "an array under 'data'", f"a {type(data).__name__}")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != length:
        raise invalid(path, f"'data' of uint8 and shape (N, {length})", f"{data.dtype} of shape {data.shape}")
    labels = batch["labels"]
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise invalid(path, "a list of integers under 'labels'", f"a {type(labels).__name__} of something else")
    return labelled(data, np.array(labels), reading=reading, path=path)


def _binary_batch(content: bytes, path: Path, *, reading: Reading) -> Part:
    """Read records of one label byte and C*H*W image bytes."""
    length = 1 + prod(reading.shape)
    if not content:
        raise invalid(path, f"records of {length:,} bytes", "an empty file")
    if len(content) % length:
        raise invalid(
            path, f"whole records of {length:,} bytes", f"{len(content):,} bytes, cut off or of another format"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    return labelled(records[:, 1:], records[:, 0], reading=reading, path=path)


def _splits(
    place: Path, contents: dict[str, bytes], names: Iterable[str], read: Callable[[bytes, Path], Part]
) -> Parts:
    """Read the batches with these names: the last is the test set, the others are the training set."""
    missing = [name for name in names if name not in contents]
    if missing:
        raise invalid(place, "the batches " + ", ".join(names), "none of the name " + ", ".join(missing))
    *train, test = (read(contents[name], place / name) for name in names)
    return joined(train), test


def _table(value: object, path: Path, *keys: str) -> dict[str, object]:
    """Require an unpickled value to be a dictionary with these keys, from Python 2 or 3."""
    if not isinstance(value, dict):
        raise invalid(path, "a dictionary", f"a {type(value).__name__}")
    table = {key.decode("latin1") if isinstance(key, bytes) else str(key): item for key, item in value.items()}
    missing = [key for key in keys if key not in table]
    if missing:
        raise invalid(path, f"a dictionary with {' and '.join(keys)}", f"one without {' and '.join(missing)}")
    return table


def _folder_with(names: Iterable[str], folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if any((folder / name).exists() for name in names)), None)


def _contents(place: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read those of the named files that exist in a folder or an archive."""
    return _archive_contents(place, names) if place.name.endswith(".tar.gz") else _folder_contents(place, names)


def _folder_contents(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    contents = {}
    for path in (folder / name for name in names):
        if path.exists():
            with reading_from(path, "a batch of CIFAR-10"):
                if (size := path.stat().st_size) > LARGEST:
                    raise invalid(path, f"a batch of at most {LARGEST:,} bytes", f"{size:,}")
                contents[path.name] = path.read_bytes()
    return contents


def _archive_contents(archive: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read the members of these names, in any folder of the archive; nothing is extracted to the disk."""
    contents = {}
    with reading_from(archive, "a whole tar archive, zipped"), gzip.open(archive) as unzipped:
        limited = _Limited(unzipped)
        with tarfile.open(fileobj=limited, mode="r|") as tar:  # type: ignore[call-overload]  # only `read` is needed
            for member in tar:
                name = PurePosixPath(member.name).name
                if name in names and member.size <= LARGEST and (stream := tar.extractfile(member)):
                    contents[name] = stream.read()
        while limited.read(BLOCK):  # to the end, where gzip verifies its checksum
            pass
    return contents


class _Limited:
    """A stream with a maximum number of bytes."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MOST

    def read(self, size: int) -> bytes:
        """Read, and raise an OSError at the limit."""
        content = self._stream.read(min(size, BLOCK))
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {MOST:,} bytes")
        return content
