"""Reads the IDX files of MNIST and similar data sets, gzipped or not, in the layouts of torchvision and Debian.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, the type 8 for uint8, the number of dimensions, the sizes as
big-endian 32-bit integers, then the values).
"""

import gzip
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from triptych.data.invalid import invalid, reading_from
from triptych.data.known.reading import Part, Parts, Reading, labelled

PARTS = ("train", "t10k")
BLOCK = 1 << 20
MOST = 1_000_000
"""Maximum number of images in a file: a small file can be a gzip bomb."""


def find_idx(folder: Path) -> Path | None:
    """Return `folder` if it contains any of the four IDX files, gzipped or not."""
    return folder if any(_existing(folder / stem) for part in PARTS for stem in _stems(part)) else None


def read_idx(folder: Path, reading: Reading) -> Parts:
    """Read the training and the test images of a folder.

    Args:
        folder: Contains `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two files that begin with `t10k`,
            each with or without `.gz`.
        reading: The shape and classes to expect.

    Raises:
        DataError: A file is missing, damaged, or does not match its name.
    """
    train, test = (_read_part(folder, part, reading) for part in PARTS)
    return train, test


def read_idx_file(path: Path, *, sizes: tuple[int, ...]) -> np.ndarray:
    """Read one IDX file of uint8 values.

    Args:
        path: The file; gzip is detected by its content, because browsers unzip without renaming.
        sizes: Required shape of every entry: (28, 28) for images, () for labels.

    Returns:
        uint8, (N, *sizes).

    Raises:
        DataError: The file is missing, damaged, truncated, too long, or has another shape.
    """
    with reading_from(path, "an IDX file"), path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with reading_from(path, "a whole gzip file" if zipped else "a whole IDX file"):
            return _parse(gzip.GzipFile(fileobj=raw) if zipped else raw, path, sizes)


def _read_part(folder: Path, part: str, reading: Reading) -> Part:
    """Read the images and the labels of one part."""
    image_path, label_path = (_existing(folder / stem) or folder / f"{stem}.gz" for stem in _stems(part))
    channels, height, width = reading.shape
    assert channels == 1
    images = read_idx_file(image_path, sizes=(height, width))
    return labelled(images, read_idx_file(label_path, sizes=()), reading=reading, path=label_path)


def _parse(stream: BinaryIO | gzip.GzipFile, path: Path, sizes: tuple[int, ...]) -> np.ndarray:
    """Read header and values, allocating no more than the file contains, whatever its header states."""
    dimensions = 1 + len(sizes)
    magic = 0x0800 + dimensions
    header = stream.read(4 * (1 + dimensions))
    if not header:
        raise invalid(path, "an IDX file", "an empty file")
    found = int.from_bytes(header[:4], "big")
    if found != magic:
        raise invalid(path, f"the magic number {magic} ({'images' if sizes else 'labels'})", str(found))
    if len(header) < 4 * (1 + dimensions):
        raise invalid(path, f"a header of {4 * (1 + dimensions)} bytes", f"a file that ends after {len(header)}")
    count, *measured = (int(size) for size in np.frombuffer(header, ">u4")[1:])
    if tuple(measured) != sizes:
        raise invalid(path, f"images of {_times(sizes)} pixels", f"images of {_times(measured)}")
    if count > MOST:
        raise invalid(path, f"at most {MOST:,} images", f"a header of {count:,}")
    wanted = count * prod(sizes)
    values = bytearray()
    while len(values) < wanted and (block := stream.read(min(BLOCK, wanted - len(values)))):
        values += block
    if len(values) < wanted:
        raise invalid(path, f"{wanted:,} bytes of values, as in its header", f"a file cut off after {len(values):,}")
    if stream.read(1):
        raise invalid(path, f"{wanted:,} bytes of values, as in its header", "a file with further bytes after them")
    return np.frombuffer(values, np.uint8).reshape(count, *sizes)


def _stems(part: str) -> tuple[str, str]:
    """Name the image file and the label file of a part."""
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _existing(path: Path) -> Path | None:
    """Find the gzipped file, which has a checksum, or else the unzipped one."""
    return next((candidate for candidate in (path.with_name(f"{path.name}.gz"), path) if candidate.exists()), None)


def _times(sizes: list[int] | tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
