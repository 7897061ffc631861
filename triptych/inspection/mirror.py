"""Whether mirror images of labelled images would still belong to their classes, measured; for `flips.py`.

A mirrored cat is a cat, a mirrored 3 is no digit, and a mirrored arrow to the left belongs to another class. Three
questions are asked of small grey versions of the images, each of images that had no part in the answer: half of every
class answers for the other half. What is compared are histograms of the directions of edges, cell by cell (Dalal and
Triggs, "Histograms of oriented gradients for human detection", 2005), which do not depend on what is dark and what is
bright, so that letters in photographs are seen too.
"""

from typing import NamedTuple

import numpy as np

SIDE = 32
"""Pixels along a side of the small images."""
CELL = 4
"""Pixels along a side of a cell."""
DIRECTIONS = 8
"""Of edges, all around half a circle."""

RIDGE = 0.5
"""How much the classifier's weights are held back, beside features of length 1."""

FEWEST = 4
"""Images that a class needs to be asked about."""
FEWEST_SWAPPED = 8
"""Recognised images of each of two classes that are needed to say that they are mirror images of each other."""


class MirrorTest(NamedTuple):
    """What was found.

    Attributes:
        images: How many were asked.
        told_apart: Share of them whose handedness is that of their class; a half says that there is none.
        recognised: Share of them that a linear classifier recognises.
        loyal: Share of the recognised ones whose mirror images it takes for the same class.
        swapped: Pairs of labels of which each is what most mirror images of the other are taken for.
    """

    images: int
    told_apart: float
    recognised: float
    loyal: float
    swapped: tuple[tuple[int, int], ...]

    @property
    def is_handed(self) -> bool:
        """Whether left and right matter: clearly more images than by chance (by three deviations) are told apart."""
        deviations = (self.told_apart - 0.5) * 2 * self.images**0.5
        return self.told_apart >= 0.6 and deviations >= 3


def mirror_test(images: np.ndarray, labels: np.ndarray) -> MirrorTest | None:
    """Ask small images about their mirror images.

    Args:
        images: (N, SIDE, SIDE) grey, in any unit.
        labels: (N,) integers. Classes of fewer than `FEWEST` images are left out.

    Returns:
        The answers; None where fewer than two classes are left.

    Example:
        >>> left = np.tril(np.ones((SIDE, SIDE)))
        >>> arrows = np.stack([left, left[:, ::-1]] * 20) + np.random.default_rng(0).normal(0, 0.1, (40, SIDE, SIDE))
        >>> mirror_test(arrows, np.arange(40) % 2).swapped
        ((0, 1),)
    """
    from sklearn.linear_model import RidgeClassifier

    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[codes] >= FEWEST
    if len(set(labels[kept])) < 2:
        return None
    names, codes = np.unique(labels[kept], return_inverse=True)
    images = images[kept].astype(np.float32)
    straight, mirrored = _features(images), _features(images[:, :, ::-1])
    half = _halves(codes)
    is_told = np.zeros(len(codes), bool)
    taken_for, mirror_taken_for = np.zeros_like(codes), np.zeros_like(codes)
    for part in (0, 1):
        known, asked = half != part, half == part
        difference = straight - mirrored
        means = _class_means(difference[known], codes[known])
        is_told[asked] = (difference[asked] * means[codes[asked]]).sum(1) > 0
        classifier = RidgeClassifier(RIDGE).fit(straight[known], codes[known])
        taken_for[asked] = classifier.predict(straight[asked])
        mirror_taken_for[asked] = classifier.predict(mirrored[asked])
    right = taken_for == codes
    return MirrorTest(
        images=len(codes),
        told_apart=float(is_told.mean()),
        recognised=float(right.mean()),
        loyal=float((mirror_taken_for == codes)[right].mean()) if right.any() else 0.0,
        swapped=tuple((int(names[a]), int(names[b])) for a, b in _swapped(codes[right], mirror_taken_for[right])),
    )


def _features(images: np.ndarray) -> np.ndarray:
    """Describe images (N, SIDE, SIDE) by unit vectors: the strength of edges by cell and direction."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    turn = np.arctan2(down, across) % np.pi * (DIRECTIONS / np.pi)
    below = np.floor(turn).astype(int)
    beyond = turn - below
    cells = SIDE // CELL
    strengths = []
    for direction in range(DIRECTIONS):
        share = (below % DIRECTIONS == direction) * (1 - beyond) + ((below + 1) % DIRECTIONS == direction) * beyond
        edges = np.hypot(across, down) * share
        strengths.append(edges.reshape(-1, cells, CELL, cells, CELL).mean((2, 4)))
    # The root keeps single strong edges from outshouting all others.
    features = np.sqrt(np.stack(strengths, axis=3).reshape(len(images), -1))
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6))


def _halves(codes: np.ndarray) -> np.ndarray:
    """Put the first half of every class, in its order, into part 0: what was taken together stays together."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    place = np.empty(len(codes), int)
    place[order] = np.arange(len(codes)) - np.repeat(counts.cumsum() - counts, counts)
    return np.asarray(2 * place >= counts[codes], int)


def _class_means(features: np.ndarray, codes: np.ndarray) -> np.ndarray:
    members = np.eye(codes.max() + 1, dtype=np.float32)[codes]
    return np.asarray(members.T @ features / members.sum(0)[:, None])


def _swapped(codes: np.ndarray, taken_for: np.ndarray) -> list[tuple[int, int]]:
    """Find the pairs of classes that most mirror images go to, both ways."""
    classes = max(codes.max(initial=-1), taken_for.max(initial=-1)) + 1
    table = np.zeros((classes, classes), int)
    np.add.at(table, (codes, taken_for), 1)
    counts = table.sum(1)
    goes = (table > counts[:, None] / 2) & (counts[:, None] >= FEWEST_SWAPPED)
    return [(int(a), int(b)) for a, b in np.argwhere(goes & goes.T) if a < b]
