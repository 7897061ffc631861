"""Inputs and results of the readers of known data sets, and their common checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from triptych.data.invalid import invalid
from triptych.data.pixels.mapped import Shape
from triptych.data.pixels.opening import Source


@dataclass(frozen=True)
class Reading:
    """The expected content of the files.

    Attributes:
        shape: Required channels, height and width of every image.
        classes: The class names; labels are positions in this table.
    """

    shape: Shape
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """The training or the test images of a data set.

    Attributes:
        images: uint8 (N, C, H, W), or encoded images, (N,).
        labels: int64 (N,), positions in the class table.
    """

    images: Tensor | Sequence[Source]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


Parts = tuple[Part, Part]
"""Training and test."""


def labelled(images: np.ndarray, labels: np.ndarray, *, reading: Reading, path: Path) -> Part:
    """Combine pixels with labels, and check the labels.

    Args:
        images: uint8, anything that reshapes to (N, C, H, W).
        labels: Integers, (N,).
        reading: The shape and classes to expect.
        path: The file of the labels, for error messages.

    Raises:
        DataError: The number of labels differs from that of images, or a label is out of range.
    """
    images = images.reshape(-1, *reading.shape)
    if len(images) != len(labels):
        raise invalid(path, f"one label for each of the {len(images):,} images", f"{len(labels):,} labels")
    writable = np.require(images, requirements=["C", "W"])
    return Part(torch.from_numpy(writable), checked_labels(labels, reading=reading, path=path))


def joined(parts: Sequence[Part]) -> Part:
    """Concatenate parts of pixels in order."""
    pixels = [part.images for part in parts if isinstance(part.images, Tensor)]
    return Part(torch.cat(pixels), torch.cat([part.labels for part in parts]))


def checked_labels(labels: np.ndarray, *, reading: Reading, path: Path) -> Tensor:
    """Return labels as int64, (N,); raises DataError if one is out of range."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(reading.classes)))
    if wrong.size:
        received = f"label {labels[wrong[0]]} for image {int(wrong[0]):,}"
        raise invalid(path, f"labels from 0 to {len(reading.classes) - 1}", received)
    return torch.from_numpy(labels.astype(np.int64))


def check_classes(names: object, *, reading: Reading, path: Path) -> None:
    """Compare the class table of a file with the expected one.

    Raises:
        DataError: The names differ, so that the labels would have another meaning.
    """
    if names != list(reading.classes):
        raise invalid(path, f"the class table {list(reading.classes)}", f"{names!r}")
