"""Batches in which small classes count as much as large ones: class-balanced sampling, and P classes by K images.

Both give every class the same weight, and so train for a world in which all classes are equally frequent. Rare classes
are recognised more often and macro F1 rises; where the images that the model will meet are as unevenly distributed as
the training images, its accuracy on them may fall, because the probabilities that it names are those of the even
world. Adding the logarithm of each class's frequency to its logit leads back (Menon et al., "Long-tail learning via
logit adjustment", ICLR 2021).

In the mined triplet loss a class weighs by its pairs, which grow with the square of its images in the batch: it gains
more from either than the classification loss does.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.data.batches.class_passes import ClassPasses, laid_out
from triptych.data.batches.sampling import BalancedBatchSampler, share
from triptych.data.draws import Draws

USUAL_IMAGES_PER_CLASS = 4
"""K where nothing is asked for (Hermans et al. 2017), unless there are too few classes to fill the batch with."""


class ClassBalancedBatchSampler(BalancedBatchSampler):
    """Draws every image as often as its class is small: each class fills the same number of places in an epoch.

    An epoch of about N images has round(N / C) places for each of the C classes, in a shuffled order. A class fills its
    places by going through its images, on from one epoch to the next: images of an average class come about once an
    epoch, those of a rare one several times, and those of a large one once in several epochs, at least once in any
    `passes.epochs_between` epochs in a row. The places are cut into batches, and these shared by processes, as in
    `BalancedBatchSampler`.

    Args:
        labels: (N,) integers, the images' classes.
        batch_size: Most images in one process's batch.
        seed: Chooses images and orders.
        rank: Which process this is, from 0.
        world_size: Number of processes.

    Attributes:
        passes: What each class's images come from; its docstring proves the bound.

    Raises:
        ValueError: As `BalancedBatchSampler` and `ClassPasses`.

    Example:
        >>> labels = torch.tensor([0] * 9 + [1] * 3)
        >>> sampler = ClassBalancedBatchSampler(labels, batch_size=6)
        >>> torch.cat(list(sampler)).sort().values  # six places each
        tensor([ 0,  3,  4,  6,  7,  8,  9,  9, 10, 10, 11, 11])
    """

    def __init__(self, labels: Tensor, *, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.passes = ClassPasses(labels, images_per_class=1, seed=seed)
        places = self.passes.rounds * self.passes.num_classes
        super().__init__(places, batch_size=batch_size, shuffle=True, seed=seed, rank=rank, world_size=world_size)

    def _order(self) -> tuple[Tensor, Tensor]:
        places = self._shuffled()
        return self.passes.images(self.epoch)[places], places // self.passes.num_classes


class PKBatchSampler(BalancedBatchSampler):
    """Batches of P classes with K images each, among which triplets are mined (Hermans et al. 2017).

    P and K are of the whole batch, of all processes together, so that it is the same however many share it; each takes
    a contiguous part, as in `BalancedBatchSampler`. No batch takes a class or an image twice. A class of fewer than K
    images comes with all that it has, and makes the batch smaller: one with a single image serves as a negative, and is
    no anchor.

    An epoch is a number of rounds, near N images in all; each takes every class once, in a new order, and goes on in
    each class's images where the one before has ended. So every class comes equally often in every epoch, and every
    image at least once in any `passes.epochs_between` epochs in a row. The rounds' classes are cut into as few batches
    as P allows, of even numbers of classes.

    Args:
        labels: (N,) integers, the images' classes.
        classes_per_batch: P, no more than there are classes.
        images_per_class: K.
        seed: Chooses images and orders.
        rank: Which process this is, from 0.
        world_size: Number of processes.

    Attributes:
        passes: What each class's images come from; its docstring proves the bound.

    Raises:
        ValueError: P is more than there are classes, a batch may have no image for some process, or as `ClassPasses`.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
        >>> sampler = PKBatchSampler(labels, classes_per_batch=2, images_per_class=2)
        >>> [labels[batch].tolist() for batch in sampler]
        [[0, 0, 1, 1], [2, 1, 1], [0, 0, 2]]
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
        self.passes = passes = ClassPasses(labels, images_per_class=images_per_class, seed=seed)
        if not 1 <= classes_per_batch <= passes.num_classes:
            raise ValueError(
                f"classes_per_batch must be from 1 to the number of classes, {passes.num_classes}, but got "
                f"{classes_per_batch}; take fewer classes and more images_per_class"
            )
        most = -(-classes_per_batch * images_per_class // world_size)
        images = passes.rounds * int(passes.taken.sum())
        super().__init__(images, batch_size=most, shuffle=True, seed=seed, rank=rank, world_size=world_size)
        # Batches are cut between classes, not between images.
        self._places = passes.rounds * passes.num_classes
        self.steps = -(-self._places // classes_per_batch)
        fewest = int(passes.taken.sort().values[: self._places // self.steps].sum())
        if fewest < world_size:
            raise ValueError(
                f"every process needs an image in each batch, but {classes_per_batch} small classes may have "
                f"{fewest} for {world_size} processes; use fewer processes or more classes_per_batch"
            )

    def _global_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        images = self.passes.images(self.epoch)
        # The images of a place lie together, in the order of rounds and classes; the batches want the places' own.
        lengths = self.passes.taken.repeat(self.passes.rounds)
        starts = lengths.cumsum(0) - lengths
        order = self._shuffled()
        for step in range(self.steps):
            start, end = share(self._places, part=step, parts=self.steps)
            places = order[start:end]
            which, within = laid_out(lengths[places])
            yield images[starts[places][which] + within], (places // self.passes.num_classes)[which]

    def _shuffled(self) -> Tensor:
        """Order the places, C in each round, so that no batch holds two of one class: (R * C,) int64."""
        rounds, classes = self.passes.rounds, self.passes.num_classes
        keys = Draws(self.seed, self.epoch, torch.arange(self._places)).integers("order of classes", 2**62)
        orders = keys.view(rounds, classes).argsort(dim=1, stable=True)
        bounds = [share(self._places, part=step, parts=self.steps)[0] for step in range(self.steps)] + [self._places]
        for number in range(1, rounds):
            # A batch that the round before has begun goes on with classes that it does not have yet.
            boundary = number * classes
            following = bisect_right(bounds, boundary)
            begun = orders[number - 1, classes - boundary + bounds[following - 1] :]
            is_new = ~torch.isin(orders[number], begun)
            goes_first = is_new & (is_new.cumsum(0) <= bounds[following] - boundary)
            orders[number] = orders[number][(~goes_first).int().argsort(stable=True)]
        return (orders + classes * torch.arange(rounds)[:, None]).flatten()


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
    """Find P and K for the whole batch from what is asked of one process.

    What is left open fills `batch_size`: K is batch_size / P, P is batch_size / K, and of neither P is all classes, or
    as many as make K 4. Several processes take as many times P different classes with K images each; once there are no
    more classes, all of them, with more images each.

    Args:
        batch_size: Images in one process's batch.
        num_classes: Classes that there are.
        classes_per_batch: P of one process; None leaves it open.
        images_per_class: K of one process; None leaves it open.
        world_size: Number of processes.

    Raises:
        ValueError: More classes are asked for than there are.

    Example:
        >>> fill_batch(32, num_classes=100, images_per_class=8, world_size=4)
        ClassesAndImages(classes_per_batch=16, images_per_class=8)
        >>> fill_batch(32, num_classes=10, images_per_class=8, world_size=4)
        ClassesAndImages(classes_per_batch=10, images_per_class=12)
    """
    if images_per_class is None:
        several = max(2, batch_size // USUAL_IMAGES_PER_CLASS)
        asked = min(num_classes, several) if classes_per_batch is None else classes_per_batch
        images_per_class = max(1, batch_size // asked)
    else:
        asked = max(1, batch_size // images_per_class) if classes_per_batch is None else classes_per_batch
    if asked > num_classes:
        raise ValueError(
            f"{asked} classes of {images_per_class} images fill a batch of {batch_size}, and there are {num_classes} "
            f"classes; expected at most {num_classes} classes_per_batch with {batch_size // num_classes} "
            "images_per_class, a smaller batch_size, or null for both"
        )
    together = min(num_classes, asked * world_size)
    return ClassesAndImages(together, asked * images_per_class * world_size // together)
