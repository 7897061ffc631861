"""Data sets for training: labelled images, and triplets of them, read in batches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.draws import Draws
from triptych.data.pixels.mapped import Images, MappedImages

Augment = Callable[[Tensor, Draws], Tensor]
"""Changes a batch of images, (B, C, H, W) float32 in [0, 1], by their random numbers; for example `Augmentation`."""


class ImageDataset(Dataset[tuple[Tensor, ...]]):
    """Labelled images: `dataset[i]` is (image, label), and `dataset.__getitems__(indices)` a batch of them.

    A batch is one gather from the uint8 tensors, on their device. An item depends only on the seed, the epoch and its
    index, not on its batch.

    Args:
        images: (N, C, H, W) uint8, in memory or on the disk.
        labels: (N,) integers from 0; they need not be contiguous.
        augment: Changes images of a batch; None changes nothing.
        augmented_epochs: Number of epochs, the first ones, that are augmented; None is all.
        seed: Chooses the augmentation, together with the epoch.

    Raises:
        ValueError: Images or labels have the wrong type or shape, do not match, or are empty.

    Example:
        >>> dataset = ImageDataset(torch.full((4, 1, 8, 8), 255, dtype=torch.uint8), torch.tensor([3, 3, 5, 5]))
        >>> image, label = dataset[2]
        >>> image.shape, image.max().item(), label.item()
        (torch.Size([1, 8, 8]), 1.0, 5)
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        *,
        augment: Augment | None = None,
        augmented_epochs: int | None = None,
        seed: int = 0,
    ) -> None:
        _check_images(images)
        _check_labels(labels, count=len(images))
        self.images = images
        self.labels = labels.to(images.device, torch.int64)
        self.augment = augment
        self.augmented_epochs = augmented_epochs
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's random numbers, before its first batch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(batch[0] for batch in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int] | Tensor, rounds: Tensor | int = 0) -> tuple[Tensor, ...]:
        """Return a batch of (image, label): (B, C, H, W) float32 in [0, 1] and (B,) int64.

        Args:
            indices: B positions in the data set; negative ones count from its end.
            rounds: (B,) int64 or one for all: in another round of an epoch an image has other random numbers.

        Raises:
            IndexError: A position is out of range.
        """
        positions = self.positions(indices)
        return self.view(positions, self.draws(positions, rounds)), self.labels[positions]

    def positions(self, indices: Sequence[int] | Tensor) -> Tensor:
        """Check indices as Python does for lists, and move them to the images' device: (B,) int64 in [0, N)."""
        positions = torch.as_tensor(indices, dtype=torch.int64)
        outside = positions[(positions < -len(self)) | (positions >= len(self))]
        if len(outside):
            raise IndexError(f"index {int(outside[0])} is out of range for a data set of {len(self)} images")
        return (positions % len(self)).to(self.images.device, non_blocking=True)

    def draws(self, positions: Tensor, rounds: Tensor | int = 0) -> Draws:
        """Return the random numbers of the images at `positions` (B,) in these rounds of this epoch."""
        return Draws(self.seed, self.epoch, positions + len(self) * torch.as_tensor(rounds, device=positions.device))

    def view(self, positions: Tensor, draws: Draws) -> Tensor:
        """Return the images at `positions` (B,), augmented by `draws`: (B, C, H, W) float32 in [0, 1]."""
        images = self.images[positions].float().div_(255)
        is_plain = self.augmented_epochs is not None and self.epoch >= self.augmented_epochs
        return images if self.augment is None or is_plain else self.augment(images, draws)


class TripletDataset(Dataset[tuple[Tensor, ...]]):
    """Triplets of labelled images: `dataset[i]` is (anchor, positive, negative, label).

    The anchor is image i. The positive is drawn uniformly from the other images of its class (the anchor itself only if
    it is alone in its class), the negative uniformly from all images of other classes. Every epoch draws new ones, and
    the three are augmented independently. An item depends only on the seed, the epoch and its index.

    Args:
        images: (N, C, H, W) uint8, in memory or on the disk.
        labels: (N,) integers from 0, of at least two classes; they need not be contiguous.
        augment: Changes images of a batch; None changes nothing.
        augmented_epochs: Number of epochs, the first ones, that are augmented; None is all.
        seed: Chooses triplets and augmentation, together with the epoch.

    Raises:
        ValueError: As `ImageDataset`, or all labels are the same.

    Example:
        >>> dataset = TripletDataset(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 3, 5, 5]))
        >>> anchor, positive, negative, label = dataset[0]
        >>> positives, negatives = dataset.triplet_indices([0, 1])
        >>> positives.tolist()
        [1, 0]
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        *,
        augment: Augment | None = None,
        augmented_epochs: int | None = None,
        seed: int = 0,
    ) -> None:
        self._dataset = ImageDataset(images, labels, augment=augment, augmented_epochs=augmented_epochs, seed=seed)
        classes, class_of, counts = torch.unique(self._dataset.labels, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise ValueError(
                f"labels must name at least two classes, so that there are negatives, but all {len(labels)} are "
                f"{int(classes[0])}; add images of another class"
            )
        # Images sorted by class form one run per class: the place of each image, and start and length of its run.
        self._by_class = class_of.argsort(stable=True)
        self._place = torch.empty_like(self._by_class)
        self._place[self._by_class] = torch.arange(len(labels), device=images.device)
        self._start = (counts.cumsum(0) - counts)[class_of]
        self._length = counts[class_of]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's triplets and random numbers, before its first batch."""
        self._dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(batch[0] for batch in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int] | Tensor, rounds: Tensor | int = 0) -> tuple[Tensor, ...]:
        """Return a batch of (anchor, positive, negative, label): three (B, C, H, W) float32 in [0, 1], and (B,) int64.

        Args:
            indices: B positions of anchors in the data set; negative ones count from its end.
            rounds: (B,) int64 or one for all: in another round of an epoch an anchor has other random numbers.

        Raises:
            IndexError: A position is out of range.
        """
        anchors = self._dataset.positions(indices)
        draws = self._dataset.draws(anchors, rounds)
        positives, negatives = self._draw_triplets(anchors, draws)
        return (
            self._dataset.view(anchors, draws.fork("anchor")),
            self._dataset.view(positives, draws.fork("positive")),
            self._dataset.view(negatives, draws.fork("negative")),
            self._dataset.labels[anchors],
        )

    def triplet_indices(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions of this epoch's positives and negatives for the anchors at `indices`: two (B,) int64."""
        anchors = self._dataset.positions(indices)
        return self._draw_triplets(anchors, self._dataset.draws(anchors))

    def _draw_triplets(self, anchors: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        start, length = self._start[anchors], self._length[anchors]
        # Any of the run except the anchor: draw from one fewer, and skip the anchor.
        positive = start + draws.integers("positive", (length - 1).clamp(min=1))
        positive += (positive >= self._place[anchors]) & (length > 1)
        # Any image outside the run, likewise.
        negative = draws.integers("negative", len(self) - length)
        negative += length * (negative >= start)
        return self._by_class[positive], self._by_class[negative]


def _check_images(images: Images) -> None:
    are_images = isinstance(images, Tensor | MappedImages) and images.dtype == torch.uint8 and len(images.shape) == 4
    if not (are_images and images.shape.numel()):
        raise ValueError(
            f"images must be a uint8 tensor of shape (N, C, H, W) with at least one image, but got "
            f"{_describe(images)}; convert arrays with torch.from_numpy, and give grey images one channel"
        )


def _check_labels(labels: Tensor, *, count: int) -> None:
    is_integer = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.dtype == torch.bool)
    if not is_integer or labels.is_complex() or labels.ndim != 1:
        raise ValueError(
            f"labels must be a tensor of integers of shape (N,), but got {_describe(labels)}; "
            "convert arrays with torch.from_numpy, and class names with numpy.unique(..., return_inverse=True)"
        )
    if len(labels) != count:
        raise ValueError(
            f"images and labels must be of the same length, but got {count} images and {len(labels)} labels; "
            "give every image one label"
        )
    if labels.min() < 0:
        raise ValueError(
            f"labels must be at least 0, but the least is {int(labels.min())}; number the classes from 0, and leave "
            "out images without a label"
        )


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)} of {value.dtype}"
    return f"a {type(value).__name__}"
