"""Batch samplers for imbalanced classes: class-balanced sampling, and P classes by K images.

Both give every class the same weight, and thus train for a uniform class prior. The recall of rare classes and macro
F1 increase; if the model is applied to images with the class frequencies of the training images, its accuracy may
decrease, because its probabilities assume a uniform prior. Adding the logarithm of each class's frequency to its logit
corrects this (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).

In the mined triplet loss the weight of a class is its number of pairs, which is quadratic in its images in the batch:
this loss benefits more from both samplers than the classification loss.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.draws import mix

USUAL_IMAGES_PER_CLASS = 4
"""Default of K (Hermans et al. 2017), unless there are too few classes to fill the batch."""


class ClassBalancedBatchSampler(BalancedBatchSampler):
    """Draws images in inverse proportion to the size of their class: all classes have equally many places per epoch.

    An epoch of about N images has round(N / C) places for each of the C classes, in shuffled order. A class fills its
    places with repeated shuffled passes through its images: no image repeats before all others have been drawn. The
    places are divided into batches, and these among processes, as in `BalancedBatchSampler`.

    Args:
        labels: (N,) integers, the images' classes.
        batch_size: Most images in one process's batch.
        seed: Chooses images and orders, together with the epoch.
        rank: Which process this is, from 0.
        world_size: Number of processes.

    Raises:
        ValueError: As `BalancedBatchSampler`.

    Example:
        >>> labels = torch.tensor([0] * 9 + [1] * 3)
        >>> sampler = ClassBalancedBatchSampler(labels, batch_size=6)
        >>> labels[torch.cat(list(sampler))].bincount()
        tensor([6, 6])
    """

    def __init__(self, labels: Tensor, *, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self._members = _members(labels)
        self._places = max(1, round(len(labels) / len(self._members)))
        size = self._places * len(self._members)
        super().__init__(size, batch_size=batch_size, shuffle=True, seed=seed, rank=rank, world_size=world_size)

    def _order(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(mix("images of classes", self.seed, self.epoch))
        drawn = []
        for images in self._members:
            passes = -(-self._places // len(images))
            shuffled = [images[torch.randperm(len(images), generator=generator)] for _ in range(passes)]
            drawn.append(torch.cat(shuffled)[: self._places])
        order = torch.cat(drawn)[self._shuffled()]
        return order, _repeats(order)


class PKBatchSampler(BalancedBatchSampler):
    """Batches of P classes with K images each, for triplet mining (Hermans et al. 2017).

    P and K refer to the global batch of all processes, so that it does not depend on their number; each process takes a
    contiguous part, as in `BalancedBatchSampler`. No batch contains a class or an image twice. A class with fewer than
    K images contributes all of them, and the batch is smaller: a class with a single image provides negatives, but no
    anchor.

    An epoch has about N images. Classes, and the images of each class, are drawn from shuffled passes: none repeats
    before all others have been drawn.

    Args:
        labels: (N,) integers, the images' classes.
        classes_per_batch: P, at most the number of classes.
        images_per_class: K.
        seed: Chooses classes and images, together with the epoch.
        rank: Which process this is, from 0.
        world_size: Number of processes.

    Raises:
        ValueError: A batch may have no image for some process.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
        >>> sampler = PKBatchSampler(labels, classes_per_batch=2, images_per_class=2)
        >>> [len(labels[batch].unique()) for batch in sampler]
        [2, 2, 2]
    """

    def __init__(
        self,
        labels: Tensor,
        *,
        classes_per_batch: int,
        images_per_class: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._members = _members(labels)
        taken = torch.tensor([min(len(images), images_per_class) for images in self._members])
        fewest = int(taken.sort().values[:classes_per_batch].sum())
        if fewest < world_size:
            raise ValueError(
                f"every process needs an image in each batch, but {classes_per_batch} small classes may have "
                f"{fewest} for {world_size} processes; use fewer processes or more classes_per_batch"
            )
        most = -(-classes_per_batch * images_per_class // world_size)
        size = max(len(labels), world_size)
        super().__init__(size, batch_size=most, shuffle=True, seed=seed, rank=rank, world_size=world_size)
        self._classes_per_batch = classes_per_batch
        self._taken = taken.tolist()
        self.steps = max(1, round(len(labels) / (classes_per_batch * float(taken.double().mean()))))

    def _global_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(mix("P times K", self.seed, self.epoch))
        classes = _Deck(torch.arange(len(self._members)), generator)
        images = [_Deck(members, generator) for members in self._members]
        batches = []
        for _ in range(self.steps):
            chosen = classes.draw(self._classes_per_batch)
            batches.append(torch.tensor([image for one in chosen for image in images[one].draw(self._taken[one])]))
        rounds = torch.split(_repeats(torch.cat(batches)), [len(batch) for batch in batches])
        return zip(batches, rounds, strict=True)


class _Deck:
    """Draws numbers in shuffled passes; no draw contains a number twice."""

    def __init__(self, cards: Tensor, generator: torch.Generator) -> None:
        self._cards = cards
        self._generator = generator
        self._pile: list[int] = []

    def draw(self, count: int) -> list[int]:
        """Draw `count` numbers, at most all of them."""
        hand: dict[int, None] = {}
        put_back = []
        while len(hand) < count:
            if not self._pile:
                self._pile = self._cards[torch.randperm(len(self._cards), generator=self._generator)].tolist()
            card = self._pile.pop()
            if card in hand:
                put_back.append(card)
            hand[card] = None
        self._pile += put_back
        return list(hand)


def _members(labels: Tensor) -> list[Tensor]:
    """Return the positions of each class's images, in ascending order of the labels."""
    _, class_of, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
    return list(class_of.argsort(stable=True).split(counts.tolist()))


def _repeats(order: Tensor) -> Tensor:
    """Count the earlier occurrences of each image in an order, (N,) int64: (N,) int64.

    Example:
        >>> _repeats(torch.tensor([5, 7, 5, 5]))
        tensor([0, 0, 1, 2])
    """
    by_image = order.argsort(stable=True)
    _, counts = torch.unique_consecutive(order[by_image], return_counts=True)
    repeats = torch.empty_like(order)
    repeats[by_image] = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return repeats


class ClassesAndImages(NamedTuple):
    """P and K."""

    classes_per_batch: int
    images_per_class: int


def fill_batch(
    batch_size: int,
    *,
    num_classes: int,
    classes_per_batch: int | None = None,
    images_per_class: int | None = None,
    world_size: int = 1,
) -> ClassesAndImages:
    """Compute P and K of the global batch from the settings of one process.

    Omitted values fill `batch_size`: K is batch_size / P, P is batch_size / K; if both are omitted, P is all classes,
    or the number that makes K 4. With several processes, P is multiplied by their number; if there are fewer classes, P
    is all of them and K is larger.

    Args:
        batch_size: Number of images in one process's batch.
        num_classes: Number of classes.
        classes_per_batch: P of one process; None chooses it.
        images_per_class: K of one process; None chooses it.
        world_size: Number of processes.

    Raises:
        ValueError: There are fewer classes than P.

    Example:
        >>> fill_batch(32, num_classes=100, images_per_class=8, world_size=4)
        ClassesAndImages(classes_per_batch=16, images_per_class=8)
        >>> fill_batch(32, num_classes=10, images_per_class=8, world_size=4)
        ClassesAndImages(classes_per_batch=10, images_per_class=12)
    """
    if images_per_class is None:
        several = max(2, batch_size // USUAL_IMAGES_PER_CLASS)
        count = min(num_classes, several) if classes_per_batch is None else classes_per_batch
        images_per_class = max(1, batch_size // count)
    else:
        count = max(1, batch_size // images_per_class) if classes_per_batch is None else classes_per_batch
    if count > num_classes:
        raise ValueError(
            f"{count} classes of {images_per_class} images fill a batch of {batch_size}, and there are {num_classes} "
            f"classes; expected at most {num_classes} classes_per_batch with {batch_size // num_classes} "
            "images_per_class, a smaller batch_size, or null for both"
        )
    together = min(num_classes, count * world_size)
    return ClassesAndImages(together, count * images_per_class * world_size // together)
