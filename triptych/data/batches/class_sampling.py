"""Batches in which small classes count as much as large ones: class-balanced sampling, and P classes by K images.

Both give every class the same weight, and so train for a world in which all classes are equally frequent. Rare classes
are recognised more often and macro F1 rises; where the images that the model will meet are as unevenly distributed as
the training images, its accuracy on them may fall, because the probabilities that it gives are those of the even
world. Adding the logarithm of each class's frequency to its logit leads back (Menon et al., "Long-tail learning via
logit adjustment", ICLR 2021).

In the mined triplet loss a class weighs by its pairs, which grow with the square of its images in the batch: it gains
more from either than the classification loss does.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.draws import mix

USUAL_IMAGES_PER_CLASS = 4
"""K by default (Hermans et al. 2017), unless there are too few classes to fill the batch with."""


class ClassBalancedBatchSampler(BalancedBatchSampler):
    """Draws every image as often as its class is small: each class fills the same number of places in an epoch.

    An epoch of about N images has round(N / C) places for each of the C classes, in a shuffled order. A class fills its
    places by one shuffled pass through its images after another: no image comes twice before all others have come once.
    The places are cut into batches, and these shared by processes, as in `BalancedBatchSampler`.

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
    """Batches of P classes with K images each, among which triplets are mined (Hermans et al. 2017).

    P and K are of the whole batch, of all processes together, so that it is the same however many share it; each takes
    a contiguous part, as in `BalancedBatchSampler`. No batch takes a class or an image twice. A class of fewer than K
    images comes with all that it has, and makes the batch smaller: one with a single image serves as a negative, and is
    no anchor.

    An epoch has about N images. Its batches draw classes, and each class its images, from shuffled passes: nothing is
    drawn again before all others have been.

    Args:
        labels: (N,) integers, the images' classes.
        classes_per_batch: P, no more than there are classes.
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
    """Cards that are drawn in shuffled passes; no hand holds a card twice."""

    def __init__(self, cards: Tensor, generator: torch.Generator) -> None:
        self._cards = cards
        self._generator = generator
        self._pile: list[int] = []

    def draw(self, count: int) -> list[int]:
        """Draw so many cards, no more than there are."""
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
    """The positions of each class's images, in ascending order of the labels."""
    _, class_of, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
    return list(class_of.argsort(stable=True).split(counts.tolist()))


def _repeats(order: Tensor) -> Tensor:
    """How often each image of an order, (N,) int64, has come before in it: (N,) int64.

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
    """Find P and K for the whole batch from the settings of one process.

    What is left open fills `batch_size`: K is batch_size / P, P is batch_size / K, and of neither P is all classes, or
    as many as make K 4. Several processes take as many times P different classes with K images each; once there are no
    more classes, all of them, with more images each.

    Args:
        batch_size: Images in one process's batch.
        num_classes: Classes that there are.
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
