"""A data set in memory or on disk: uint8 images and labels."""

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
        names: Names of the images, (N,), such as their files; None if they have no names.
        positions: Positions among the training, validation or test images of their source, (N,) int64; None if the
            images are all of these.
    """

    images: Images
    labels: Tensor
    names: Sequence[str] | None = None
    positions: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Split":
        """Select images, with their labels, by positions or by a mask."""
        chosen = torch.arange(len(self))[index.cpu()]
        names = None if self.names is None else [self.names[place] for place in chosen.tolist()]
        positions = chosen if self.positions is None else self.positions[chosen]
        return Split(mapped.select(self.images, index), self.labels[index], names, positions)


@dataclass(frozen=True, eq=False)
class ImageData:
    """The splits of a data set, with its class names.

    Attributes:
        train: The training images.
        test: The test images, which are used once, at the end.
        classes: The class names, in the order of the labels.
        origin: Source of the images, to complete the sentence "The images were ...".
        title: Display name of the data set.
        validation: The images that select the best epoch; None if they are still part of `train`.
        notes: Omitted images and warnings, in sentences.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    origin: str
    title: str = ""
    validation: Split | None = None
    notes: tuple[str, ...] = ()
