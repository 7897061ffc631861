"""What a data set is once it has been read: uint8 images and labels, for all that train on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.pixels import mapped
from triptych.data.pixels.mapped import Images


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images.

    Attributes:
        images: uint8 pixels, (N, C, H, W), in memory or on the disk.
        labels: int64 positions in the class table, (N,).
        names: What people call the images, (N,): their files; None where they have no names of their own.
        positions: Where the images stand among the training, validation or test images of their source, (N,) int64;
            None if they are all of these.
    """

    images: Images
    labels: Tensor
    names: Sequence[str] | None = None
    positions: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Split":
        """Choose images, with their labels, by positions or by a mask."""
        chosen = torch.arange(len(self))[index.cpu()]
        names = None if self.names is None else [self.names[place] for place in chosen.tolist()]
        positions = chosen if self.positions is None else self.positions[chosen]
        return Split(mapped.select(self.images, index), self.labels[index], names, positions)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set in its splits, with the names of its classes.

    Attributes:
        train: The images to learn from.
        test: The images that are used once, at the end.
        classes: The class names, in the order of the labels.
        origin: Where the images came from, to finish the sentence "The images were ...".
        title: What people call the data set.
        validation: The images to choose the best epoch by; None where they are still part of `train`.
        notes: What was left out or needs attention, in sentences.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    origin: str
    title: str = ""
    validation: Split | None = None
    notes: tuple[str, ...] = ()
