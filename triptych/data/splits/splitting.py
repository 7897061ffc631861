"""Chooses validation and test images: stratified by class, by a hash of names, and without dividing groups."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.data.draws import Draws, mix
from triptych.data.own.names import composed

KEPT = 2
"""Minimum number of training images per class: an anchor and its positive."""

LENT = 0.2
"""Maximum share of the validation images that large classes give up so that every small class has one."""


class Positions(NamedTuple):
    """Positions of the images of each split: int64, ascending."""

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
    """Split images into training, validation and test, stratified by class, identically on every machine.

    The test images are taken first, then the validation images, both as in `stratified_split`. Every class keeps two
    images for training, which a triplet needs, if other classes can provide the fractions. Images are chosen by a hash
    of their names, so that nearly all keep their split when others are added: at most one per class and boundary
    changes.

    The images of a group stay together. Every group has the same probability, whatever its size: groups are sorted by
    class and size, and taken at equal intervals from a random start (systematic sampling), so that classes and sizes
    are represented as evenly as possible. The shares are exact to about one group.

    Args:
        labels: (N,) integers.
        groups: Names of the groups, (N,), None for an image without a group; None if there are no groups.
        fractions: The shares of validation and test images; 0 takes none.
        seed: Seed of the choice.
        names: The images' names, (N,); None uses their positions.

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
    """Units that must not be divided: groups or single images."""

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
    """Divide the images at given positions into those that remain and those that are taken."""
    if not fraction:
        return places, places[:0]
    if units is None:
        kept, taken = stratified_split(labels[places], fraction=fraction, seed=seed, keys=keys[places], keep=KEPT)
        return places[kept], places[taken]
    order = in_random_order(units.keys, seed=seed).tolist()
    start = (mix("first group", seed) % 2**53) / 2**53
    chosen = _choose_units(labels[places].numpy(), units.of[places].numpy(), order, fraction=fraction, start=start)
    is_taken = torch.isin(units.of[places], torch.tensor(chosen, dtype=torch.int64))
    return places[~is_taken], places[is_taken]


def _choose_units(
    labels: np.ndarray, units: np.ndarray, order: list[int], *, fraction: float, start: float
) -> list[int]:
    """Choose units with about `fraction` of all images, with equal probability.

    Args:
        labels: The images' classes, (N,).
        units: The images' units, (N,).
        order: The units in random order.
        fraction: Share of the images.
        start: Start of systematic sampling, from 0 to 1.
    """
    pairs, amounts = np.unique(np.stack([units, labels]), axis=1, return_counts=True)
    content: dict[int, dict[int, int]] = {}
    for unit, label, amount in zip(*pairs.tolist(), amounts.tolist(), strict=True):
        content.setdefault(unit, {})[label] = amount
    size = {unit: sum(inside.values()) for unit, inside in content.items()}
    left = dict(enumerate(np.bincount(labels).tolist()))
    chosen: dict[int, None] = {}

    def can_go(unit: int, keep: int) -> bool:
        return unit not in chosen and all(left[label] - amount >= keep for label, amount in content[unit].items())

    def take(unit: int) -> None:
        chosen[unit] = None
        for label, amount in content[unit].items():
            left[label] -= amount

    def place(unit: int) -> tuple[int, int]:
        main = max(content[unit], key=lambda label: content[unit][label])
        return main, size[unit] if main % 2 else -size[unit]  # up and down, so that neighbours have similar sizes

    keep, present = KEPT, [unit for unit in order if unit in content]
    if not any(can_go(unit, keep) for unit in present):
        keep = 1
    line = sorted((unit for unit in present if can_go(unit, keep)), key=place)
    if not line:
        raise ValueError(
            f"at least one class must have two groups, one of which can be taken, but the {len(labels)} images are of "
            f"{len(content)} groups; add images"
        )
    share = fraction * len(labels)
    step = min(1.0, share / sum(size[unit] for unit in line))
    for number, unit in enumerate(line):
        if int(step * (number + 1) + start) > int(step * number + start) and can_go(unit, keep):
            take(unit)
    taken = {label for unit in chosen for label in content[unit]}
    total = sum(size[unit] for unit in chosen)
    for unit in filter(set(line).__contains__, present):
        # A class without any chosen group gives one, if this brings the total closer to its share.
        if not chosen or (can_go(unit, keep) and taken.isdisjoint(content[unit]) and total + size[unit] / 2 <= share):
            take(unit)
            taken, total = taken | set(content[unit]), total + size[unit]
    return list(chosen)


def stratified_split(
    labels: Tensor, *, fraction: float, seed: int, keys: Tensor | None = None, keep: int = 1
) -> tuple[Tensor, Tensor]:
    """Split images into training and validation, stratified by class.

    Each class gives `fraction` of its images to validation, rounded up or down so that the total is `fraction` of all
    images (largest remainder method), but keeps `keep` for training. Small classes give one image each if large classes
    can compensate; otherwise only some small classes, chosen at random, give one. scikit-learn's `train_test_split`
    rejects small classes.

    Args:
        labels: (N,) integers.
        fraction: Share of the validation images, between 0 and 1.
        seed: Chooses the images.
        keys: (N,) int64 keys of the images, by which they are chosen; None uses their positions. With keys that depend
            on the image, nearly all keep their split when others are added.
        keep: Number of images that a class keeps for training, if possible, but at least one (0 for a mere sample).

    Returns:
        The positions of the training and of the validation images, int64, each in ascending order, on the CPU.

    Raises:
        ValueError: No class has two images.

    Example:
        >>> training, validation = stratified_split(torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]), fraction=0.25, seed=0)
        >>> len(training), len(validation)
        (6, 2)
    """
    _, class_of, counts = torch.unique(labels.cpu(), return_inverse=True, return_counts=True)
    ranks = Draws(seed, 0, torch.arange(len(counts))).integers("classes that give", 2**62)
    given = _apportion(counts.numpy(), fraction=fraction, keep=keep, ranks=ranks.numpy())
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
    """Return an order of images that depends on the seed and their keys, (N,) int64: positions, (N,) int64."""
    return Draws(seed, 0, keys).integers("validation split", 2**62).argsort(stable=True)


def _apportion(counts: np.ndarray, *, fraction: float, keep: int, ranks: np.ndarray) -> Tensor:
    """Return the number of validation images of each class, for classes of `counts` (K,) images: (K,) int64.

    `ranks`, (K,), breaks ties among small classes.
    """
    quotas, most = counts * fraction, np.maximum(counts - keep, 0)
    wanted = max(round(fraction * int(counts.sum())), 1)
    if (short := wanted - int(most.sum())) > 0:  # classes then keep one image fewer, but at least one
        can_spare = counts - most > 1
        most[np.lexsort((ranks, ~can_spare))[: min(short, int(can_spare.sum()))]] += 1
    total = min(wanted, int(most.sum()))
    given = np.minimum(np.floor(quotas), most).astype(np.int64)
    is_small = (given == 0) & (most > 0)
    missing = total - int(given.sum())
    if is_small.sum() - missing <= min(total * LENT, np.maximum(given - 1, 0).sum()):
        given[is_small] = 1
    # Large classes are in fixed order, small ones in random order: otherwise the first would always give one.
    rank = np.where(is_small, ranks, np.arange(len(counts)))
    while (missing := total - int(given.sum())) > 0:
        open_ones = given < most
        best = np.lexsort((rank, given - quotas, ~open_ones))[: min(missing, int(open_ones.sum()))]
        given[best] += 1
    while (missing := int(given.sum()) - total) > 0:
        most_given = np.lexsort((rank, -given))[: min(missing, int((given > 1).sum()))]
        given[most_given] -= 1
    return torch.from_numpy(given)
