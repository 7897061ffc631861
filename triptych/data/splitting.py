"""Chooses which images validate and which test: by class, by name, and without spreading a group over the splits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.data.draws import Draws, mix
from triptych.data.own.names import composed


class Positions(NamedTuple):
    """Where the images of each split are: int64, ascending."""

    train: Tensor
    validation: Tensor
    test: Tensor


def apportion(
    labels: Tensor,
    groups: Sequence[str | None] | None = None,
    *,
    fractions: tuple[float, float],
    seed: int,
    names: Sequence[str] | None = None,
) -> Positions:
    """Divide images into training, validation and test, class by class, the same way on every machine.

    The test images are taken first, and then those for validation, both as `stratified_split` does: a class of one
    image stays in training, one of two gives the other to the test. Images are chosen by a hash of their names, so that
    nearly all stay where they are when others are added: at each class's boundary one may change sides.

    The images of a group stay together. Group after group, in random order, is taken if this brings the classes in it
    nearer to their shares and leaves an image of each in training. A class of which nothing was taken then gives its
    smallest group, where it can. Shares can be missed by about half a group.

    Args:
        labels: (N,) integers.
        groups: Names of what belongs together, (N,), with None for an image that stands alone; None if all do.
        fractions: The shares of all images that validate and that test; 0 takes none.
        seed: Chooses the images.
        names: The images' names, (N,); they go by their positions if None.

    Raises:
        ValueError: The fractions are negative or leave nothing for training; or no class has two images, or two groups,
            to divide.

    Example:
        >>> labels = torch.tensor([0, 1] * 10)
        >>> [len(places) for places in apportion(labels, fractions=(0.1, 0.2), seed=0)]
        [14, 2, 4]
    """
    if not (min(fractions) >= 0 and sum(fractions) < 1):
        raise ValueError(f"fractions must be at least 0 and leave something for training, but are {fractions}")
    places = torch.arange(len(labels))
    keys = places if names is None else torch.tensor([mix(composed(name)) for name in names], dtype=torch.int64)
    units = None if groups is None else _units(groups, keys)
    validation, test = fractions
    rest, tested = _taken(places, labels, keys, units, fraction=test, seed=seed)
    train, validates = _taken(rest, labels, keys, units, fraction=validation / (1 - test), seed=seed)
    return Positions(train, validates, tested)


class _Units(NamedTuple):
    """What must stay together."""

    of: Tensor
    """The images' units, (N,)."""
    keys: Tensor
    """The hashes of the units' names."""


def _units(groups: Sequence[str | None], keys: Tensor) -> _Units:
    """Number the groups; an image without one is a unit by itself."""
    numbers: dict[object, int] = {}
    of = [numbers.setdefault(place if group is None else group, len(numbers)) for place, group in enumerate(groups)]
    names = [int(keys[name]) if isinstance(name, int) else mix(composed(str(name))) for name in numbers]
    return _Units(torch.tensor(of, dtype=torch.int64), torch.tensor(names, dtype=torch.int64))


def _taken(
    places: Tensor, labels: Tensor, keys: Tensor, units: _Units | None, *, fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Divide the images at some places into those that remain and those that are taken."""
    if not fraction:
        return places, places[:0]
    if units is None:
        kept, taken = stratified_split(labels[places], fraction=fraction, seed=seed, keys=keys[places])
        return places[kept], places[taken]
    order = in_random_order(units.keys, seed=seed)
    chosen = _choose_units(labels[places].numpy(), units.of[places].numpy(), order.tolist(), fraction=fraction)
    is_taken = torch.isin(units.of[places], torch.tensor(chosen, dtype=torch.int64))
    return places[~is_taken], places[is_taken]


def _choose_units(labels: np.ndarray, units: np.ndarray, order: list[int], *, fraction: float) -> list[int]:
    """Choose the units whose images come to `fraction` of each class, as nearly as they can."""
    pairs, amounts = np.unique(np.stack([units, labels]), axis=1, return_counts=True)
    content: dict[int, list[tuple[int, int]]] = {}
    for unit, label, amount in zip(*pairs.tolist(), amounts.tolist(), strict=True):
        content.setdefault(unit, []).append((label, amount))
    size = np.bincount(labels).tolist()
    remaining, missing = list(size), [fraction * count for count in size]
    chosen: dict[int, None] = {}

    def take(unit: int) -> None:
        chosen[unit] = None
        for label, amount in content[unit]:
            remaining[label] -= amount
            missing[label] -= amount

    def is_spared(unit: int) -> bool:
        return all(amount < remaining[label] for label, amount in content[unit])

    ordered = [unit for unit in order if unit in content]
    for unit in ordered:
        # The squared distances to the shares, relative to the classes, become smaller by twice this.
        gain = sum(amount * (missing[label] - amount / 2) / size[label] for label, amount in content[unit])
        if gain > 0 and is_spared(unit):
            take(unit)
    for unit in sorted(ordered, key=lambda unit: sum(amount for _, amount in content[unit])):
        if any(remaining[label] == size[label] for label, _ in content[unit]) and is_spared(unit):
            take(unit)
    if not chosen:
        raise ValueError(
            f"at least one class must have two groups, one of which can be taken, but the {len(labels)} images are of "
            f"{len(ordered)} groups; add images"
        )
    return list(chosen)


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
