"""Each class's images in shuffled passes, a few at a time, without state: what the samplers by class draw from."""

import torch
from torch import Tensor

from triptych.data.draws import Draws

KEY_BITS = 31
"""Of a shuffle's random keys; the rest of 64 bits numbers the shuffles. Two images of one key keep their order."""


class ClassPasses:
    """The images of every class, gone through pass after pass, as many classes at once as there are.

    A round takes the next K images of every class, or the whole class where it is no larger. An epoch has as many
    rounds, R, as come nearest to N images: at least one, so that every class is in every epoch, and each equally
    often. What round r of the run takes is a function of the seed and of r alone: nothing is remembered from one epoch
    to the next, and yet the next goes on where the last has ended.

    One pass is a seeded shuffle of the class's n images, cut into G = ceil(n / K) parts of exactly K; where K does not
    divide n, the last part begins earlier and shares images with the one before it. So no part holds an image twice,
    and a pass holds every image once, fewer than K of them twice.

    The bound: an epoch is R parts in a row of each class, G parts from the first epoch on are a whole pass, and any
    2G - 1 parts in a row contain one. Hence every image comes in the run's first ceil(G / R) epochs, and in any
    ceil((2G - 1) / R) epochs in a row, `epochs_between`. For a class of n images, G / R is about n over the images
    of an average class.

    Args:
        labels: (N,) integers.
        images_per_class: K, the most that a round takes of a class.
        seed: Chooses the shuffles.

    Attributes:
        num_images: N.
        num_classes: C.
        taken: (C,) images that a round takes of each class, in ascending order of the labels: min(K, n).
        rounds: R, rounds of an epoch.
        epochs_between: Of the largest class, the number of epochs in a row that is sure to hold every image.

    Raises:
        ValueError: The labels are not a vector of integers, there are none, or `images_per_class` is less than 1.

    Example:
        >>> passes = ClassPasses(torch.tensor([7, 7, 7, 7, 2]), images_per_class=2, seed=0)
        >>> passes.taken, passes.rounds, passes.epochs_between
        (tensor([1, 2]), 2, 2)
        >>> passes.images(epoch=0)  # the image of class 2 and two of class 7; again the first, and the other two
        tensor([4, 0, 3, 4, 1, 2])
    """

    def __init__(self, labels: Tensor, *, images_per_class: int, seed: int = 0) -> None:
        if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool or not len(labels):
            raise ValueError(
                f"labels must be integers of shape (N,) with N of at least 1, but got shape {tuple(labels.shape)} of "
                f"{labels.dtype}; number the classes"
            )
        if images_per_class < 1:
            raise ValueError(f"images_per_class must be at least 1, but got {images_per_class}; 4 is usual")
        _, class_of, self._sizes = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
        self._by_class = class_of.argsort(stable=True)
        self._parts = -(-self._sizes // images_per_class)
        self._seed = seed
        self.num_images, self.num_classes = len(labels), len(self._sizes)
        self.taken = self._sizes.clamp(max=images_per_class)
        per_round = int(self.taken.sum())
        # To the nearest, halves upwards; a round never takes more than all images.
        self.rounds = (2 * self.num_images + per_round) // (2 * per_round)
        self.epochs_between = int(-(-(2 * self._parts.max() - 1) // self.rounds))

    def images(self, epoch: int) -> Tensor:
        """Return the positions of an epoch's images: (rounds * taken.sum(),) int64, round by round, class by class."""
        classes = torch.arange(self.num_classes).repeat(self.rounds)
        rounds = torch.arange(epoch * self.rounds, (epoch + 1) * self.rounds).repeat_interleave(self.num_classes)
        passes, parts = rounds // self._parts[classes], rounds % self._parts[classes]
        shuffled, starts = self._shuffled(classes, passes)
        taken = self.taken[classes]
        starts = starts + torch.minimum(parts * taken, self._sizes[classes] - taken)
        part, place = laid_out(taken)
        return shuffled[starts[part] + place]

    def _shuffled(self, classes: Tensor, passes: Tensor) -> tuple[Tensor, Tensor]:
        """Shuffle the classes anew for each of their passes that is asked for.

        Returns:
            The shuffles one after another, and where in them that of each of the asked (class, pass) begins.
        """
        end = int(passes.max()) + 1
        wanted, asked = torch.unique(classes * end + passes, return_inverse=True)
        of_class, number = wanted // end, wanted % end
        sizes = self._sizes[of_class]
        shuffle, place = laid_out(sizes)
        class_starts = self._sizes.cumsum(0) - self._sizes
        image = self._by_class[class_starts[of_class[shuffle]] + place]
        # A stream of its own for every image and pass.
        keys = Draws(self._seed, 0, image + self.num_images * number[shuffle]).integers("pass", 2**KEY_BITS)
        order = ((shuffle << KEY_BITS) + keys).argsort(stable=True)
        return image[order], (sizes.cumsum(0) - sizes)[asked]


def laid_out(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Lay things of different lengths one after another: to which does each place belong, and where in it is it?

    Example:
        >>> laid_out(torch.tensor([2, 3]))
        (tensor([0, 0, 1, 1, 1]), tensor([0, 1, 0, 1, 2]))
    """
    which = torch.arange(len(lengths)).repeat_interleave(lengths)
    return which, torch.arange(len(which)) - (lengths.cumsum(0) - lengths)[which]
