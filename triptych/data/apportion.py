"""Divides images into training, validation and test: by class, by name, and without spreading a group over them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.data.draws import mix
from triptych.data.listing import TEST, TRAIN, VALIDATION, Listing
from triptych.data.own.classes import composed
from triptych.data.split import in_random_order, stratified_split


class Positions(NamedTuple):
    """Where the images of each split are: int64, ascending."""

    train: Tensor
    validation: Tensor
    test: Tensor


def complete_splits(listing: Listing, *, fractions: tuple[float, float], seed: int) -> Positions:
    """Take from training what a listing lacks: validation, test or both. Splits that it has stay as they are.

    Args:
        listing: The images.
        fractions: Shares of its training images that validate and that test, as for `apportion`.
        seed: Chooses the images.

    Raises:
        ValueError: As `apportion` does.
    """
    given = [(listing.split == part).nonzero()[:, 0] for part in (TRAIN, VALIDATION, TEST)]
    pool = given[TRAIN].tolist()
    validation, test = (
        0.0 if len(given[part]) else fraction for part, fraction in zip((VALIDATION, TEST), fractions, strict=True)
    )
    taken = apportion(
        listing.labels[given[TRAIN]],
        None if listing.groups is None else [listing.groups[place] for place in pool],
        fractions=(validation, test),
        seed=seed,
        names=[listing.names[place] for place in pool],
    )
    train, *others = (given[TRAIN][places] for places in taken)
    return Positions(train, *(one if len(one) else other for one, other in zip(given[1:], others, strict=True)))


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
