"""What a data set is once it has been read: uint8 images and labels, for all that train on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from triptych.data.broken import broken
from triptych.data.pixels import mapped
from triptych.data.pixels.mapped import Images, Shape


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images.

    Attributes:
        images: uint8 pixels, (N, C, H, W), in memory or on the disk.
        labels: int64 positions in the class table, (N,).
        names: What people call the images, (N,): their files; None where they have no names of their own.
    """

    images: Images
    labels: Tensor
    names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Split":
        """Choose images, with their labels, by positions or by a mask."""
        names = None
        if self.names is not None:
            places = torch.arange(len(self))[index.cpu()].tolist()
            names = [self.names[place] for place in places]
        return Split(mapped.select(self.images, index), self.labels[index], names)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set as its makers divide it, with the names of its classes.

    Attributes:
        train: The images to learn from.
        test: The images that are looked at once, at the end.
        classes: The class names, in the order of the labels.
        origin: Where the images came from, to finish the sentence "The images were ...".
        title: What people call the data set.
        validation: The images to choose the best epoch by; None where they are to be taken from `train`.
        notes: What is odd about the images, in sentences.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    origin: str
    title: str = ""
    validation: Split | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a reader is told about the files that it will read.

    Attributes:
        shape: Channels, height and width that every image must have.
        classes: The class names; labels are positions in this table.
        num_workers: Threads that may decode image files; 0 decodes in the calling thread.
    """

    shape: Shape
    classes: tuple[str, ...]
    num_workers: int = 0


def labelled(images: np.ndarray, labels: np.ndarray, *, reading: Reading, path: Path, first: int = 0) -> Split:
    """Pair images with labels that are in range.

    Args:
        images: uint8, anything that reshapes to (N, C, H, W).
        labels: Integers, (N,).
        reading: The shape and classes to hold them to.
        path: The file that a complaint names: the one that holds the labels.
        first: Position in the file of the first image, where a file is read in parts.

    Raises:
        DataError: There are more or fewer labels than images, or a label that no class has.
    """
    images = images.reshape(-1, *reading.shape)
    if len(images) != len(labels):
        raise broken(path, f"one label for each of the {len(images):,} images", f"{len(labels):,} labels")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(reading.classes)))
    if wrong.size:
        label, row = labels[wrong[0]], first + int(wrong[0])
        raise broken(path, f"labels from 0 to {len(reading.classes) - 1}", f"label {label} for image {row:,}")
    writable = np.require(images, requirements=["C", "W"])
    return Split(torch.from_numpy(writable), torch.from_numpy(labels.astype(np.int64)))


def joined(splits: Sequence[Split]) -> Split:
    """Put the parts of one split, in order, into one."""
    return Split(mapped.joined([split.images for split in splits]), torch.cat([split.labels for split in splits]))


def check_classes(names: object, *, reading: Reading, path: Path) -> None:
    """Hold the class table of a file to the one that is expected.

    Raises:
        DataError: The names differ, so that the labels would mean something else.
    """
    if names != list(reading.classes):
        raise broken(path, f"the class table {list(reading.classes)}", f"{names!r}")
