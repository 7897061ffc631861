"""The validation split: a share of every class, the same on every machine; for the data module and `apportion`."""

import torch
from torch import Tensor

from triptych.data.draws import Draws


def stratified_split(
    labels: Tensor, *, fraction: float, seed: int, keys: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Divide images into training and validation, class by class.

    Each class gives `fraction` of its images to validation, rounded up or down so that the whole comes to `fraction`
    of all images (the method of largest remainders), but keeps at least one for training, and gives at least one
    unless it has no other. scikit-learn's `train_test_split` refuses such small classes.

    Args:
        labels: (N,) integers.
        fraction: Share of the images that goes to validation, between 0 and 1.
        seed: Chooses the images.
        keys: (N,) int64 numbers of the images, by which they are chosen; their positions if None. With keys that go
            with the images, nearly all stay where they are when others are added.

    Returns:
        The positions of the training and of the validation images, int64, each in ascending order, on the CPU.

    Raises:
        ValueError: The fraction is not between 0 and 1, the labels are not integers, or no class has two images.

    Example:
        >>> training, validation = stratified_split(torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]), fraction=0.25, seed=0)
        >>> len(training), len(validation)
        (6, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, but got {fraction}; 0.1 holds out a tenth")
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels must be integers of shape (N,), but got shape {tuple(labels.shape)} of {labels.dtype}; "
            "number the classes"
        )
    _, class_of, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
    given = _apportion(counts, fraction=fraction)
    if not given.any():
        raise ValueError(
            f"at least one class must have two images, one of which validates, but the {len(labels)} images are of "
            f"{len(counts)} classes; add images"
        )
    shuffled = in_random_order(torch.arange(len(labels)) if keys is None else keys, seed=seed)
    by_class = shuffled[class_of[shuffled].argsort(stable=True)]
    place_in_class = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[class_of[by_class]]
    validates = torch.zeros(len(labels), dtype=torch.bool)
    validates[by_class] = place_in_class < given[class_of[by_class]]
    return (~validates).nonzero()[:, 0], validates.nonzero()[:, 0]


def in_random_order(keys: Tensor, *, seed: int) -> Tensor:
    """Put images in an order that depends on the seed and their keys, (N,) int64: positions, (N,) int64."""
    return Draws(seed, 0, keys).integers("validation split", 2**62).argsort(stable=True)


def _apportion(counts: Tensor, *, fraction: float) -> Tensor:
    """How many images of each class validate, for classes of `counts` (K,) images: (K,) int64."""
    quotas = counts.double() * fraction
    least, most = (counts > 1).long(), counts - 1
    given = quotas.floor().long().clamp(least, most)
    missing = max(0, round(fraction * int(counts.sum())) - int(given.sum()))
    can_give_more = (given < most) & (given < quotas)
    remainders = torch.where(can_give_more, quotas - given, -torch.inf)
    raised = remainders.argsort(descending=True, stable=True)[:missing]
    given[raised] += can_give_more[raised].long()
    return given
