"""The threshold of "no match": chosen on validation pairs for a rate of false matches, its rate measured on test pairs.

A pair of images *matches* when their cosine similarity reaches the threshold; a *false match* is a pair of two classes
that matches. The rate is a share of pairs. A search compares one query with a whole gallery, which is many pairs: the
larger the gallery, the more likely an image of an unknown class has a false match.

Letters: N images, E embedding dimension, G groups of images.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from triptych.errors import SearchError
from triptych.search.rows import Floats, unit_vectors

MOST_IMAGES = 10_000
"""Maximum number of images of a split, drawn with a fixed seed if there are more: 50 million pairs."""
CHUNK = 1024
FEWEST_CLASSES = 5
"""Minimum number of held-out classes for an interval over classes; with fewer, it is over images."""


class Rate(BaseModel):
    """A share of pairs, and its 95% interval.

    Attributes:
        share: In [0, 1].
        low: Lower end of the interval.
        high: Upper end.
        pairs: Number of pairs of two classes.
        over: Source of variation in the interval: the images, or the classes with their images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    pairs: int = Field(gt=0)
    over: Literal["images", "classes"]


class Calibration(BaseModel):
    """The threshold of an index, and its error rates.

    Attributes:
        threshold: Minimum cosine similarity of a match.
        requested: The requested rate of false matches, on validation pairs.
        known: The rate measured on test images of the classes in training.
        held_out: The rate of pairs with an image of a held-out class, measured on test; None without such images.
        true_matches: Share of test pairs of one class that match.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(ge=-1, le=2)
    requested: float = Field(gt=0, le=0.5)
    known: Rate
    held_out: Rate | None = None
    true_matches: float | None = Field(default=None, ge=0, le=1)


class LabelledVectors:
    """Embeddings of a split and their classes.

    Args:
        vectors: (N, E); scaled to length 1.
        labels: (N,) classes, of any kind that NumPy can compare.
        seed: Seed of the sample if there are more than 10,000 images.

    Raises:
        SearchError: The vectors are not a finite matrix, or the labels differ in number or have several types.
    """

    def __init__(self, vectors: object, labels: object, *, seed: int = 0) -> None:
        given = np.asarray(vectors)
        if given.ndim != 2:
            raise SearchError(f"Expected vectors of the shape (N, E), got {given.shape}.")
        self.vectors = unit_vectors(given, dimension=given.shape[1], name="vectors")
        try:
            self.classes = np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)
        except TypeError as error:
            raise SearchError(
                f"Expected labels of one kind, such as texts or whole numbers, got a mixture ({error}). Leave out "
                "images without a label."
            ) from None
        self.names = np.asarray(labels).reshape(-1)
        if len(self.classes) != len(self.vectors):
            raise SearchError(f"Expected one label a vector, got {len(self.classes):,} for {len(self.vectors):,}.")
        if len(self.vectors) > MOST_IMAGES:
            chosen = np.sort(np.random.default_rng(seed).choice(len(self.vectors), MOST_IMAGES, replace=False))
            self.vectors, self.classes, self.names = self.vectors[chosen], self.classes[chosen], self.names[chosen]


def calibrate(
    val: LabelledVectors,
    test: LabelledVectors,
    held_out: LabelledVectors | None = None,
    *,
    false_match_rate: float = 0.01,
) -> Calibration:
    """Choose the lowest threshold whose rate of false matches on validation pairs is at most the requested one.

    Args:
        val: Validation images, of at least two classes.
        test: Test images of the same classes, not used in training or in this choice.
        held_out: Images of held-out classes.
        false_match_rate: In (0, .5].

    Raises:
        SearchError: The rate is out of range, there are too few pairs of two classes to measure such a rate, or the
            embeddings are not all of one dimension.
    """
    if not 0 < false_match_rate <= 0.5:
        raise SearchError(f"Expected a false-match rate above 0 and at most .5, got {false_match_rate}.")
    dimensions = [one.vectors.shape[1] for one in (val, test, held_out) if one is not None]
    if len(set(dimensions)) > 1:
        got = " and ".join(map(str, dict.fromkeys(dimensions)))
        raise SearchError(
            f"Expected embeddings of one model, got some of {got} dimensions. Embed all images by the model of the "
            "index."
        )
    threshold = _choose(val, false_match_rate)
    return Calibration(
        threshold=threshold,
        requested=false_match_rate,
        known=false_matches(test, threshold),
        held_out=_held_out_rate(test, held_out, threshold) if held_out is not None and len(held_out.vectors) else None,
        true_matches=_count(test, threshold)[2],
    )


def false_matches(split: LabelledVectors, threshold: float) -> Rate:
    """Measure the share of pairs of two classes that match, with the interval over images such as these.

    Raises:
        SearchError: There is no such pair.
    """
    matched, pairs, _ = _count(split, threshold)
    return _rate(matched, pairs, over="images")


def _choose(val: LabelledVectors, rate: float) -> float:
    """Return the midpoint between the last impostor score that may match and the first that may not."""
    pairs = (len(val.classes) ** 2 - int((np.bincount(val.classes) ** 2).sum())) // 2
    allowed = int(rate * pairs)
    if allowed == 0:
        raise SearchError(
            f"Expected at least {round(1 / rate):,} pairs of validation images of two classes, for a false-match rate "
            f"of {rate:g}, got {pairs:,}. Use more validation images, or a higher rate."
        )
    highest = np.empty(0, np.float32)
    for first, scores, different in _chunks(val):
        after = np.arange(len(val.classes)) > np.arange(first, first + len(scores))[:, None]
        highest = np.concatenate([highest, scores[different & after]])
        if len(highest) > allowed + 1:
            highest = np.partition(highest, -(allowed + 1))[-(allowed + 1) :]
    if len(highest) <= allowed:
        return float(highest.min())
    least, next_one = np.sort(highest)[:2].astype(np.float64)
    return float(min((least + next_one) / 2, 2.0)) if next_one > least else float(np.nextafter(least, 2.0))


def _chunks(
    split: LabelledVectors,
) -> Iterator[tuple[int, Floats, NDArray[np.bool_]]]:
    """Yield, for some rows, the first's number, their scores (B, N), and whether the classes differ (B, N)."""
    for first in range(0, len(split.vectors), CHUNK):
        rows = slice(first, first + CHUNK)
        yield first, split.vectors[rows] @ split.vectors.T, split.classes[rows, None] != split.classes


def _count(
    split: LabelledVectors, threshold: float, involved: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], float | None]:
    """Return for each image (N,) its false matches and its pairs of two classes, and the share of true matches.

    Args:
        split: The images.
        threshold: Minimum score of a match.
        involved: (N,) Only pairs with at least one of these images count; None is all.
    """
    matched = np.zeros(len(split.classes), np.int64)
    pairs = np.zeros(len(split.classes), np.int64)
    accepted = same = 0
    for first, scores, different in _chunks(split):
        rows = slice(first, first + len(scores))
        counted = different if involved is None else different & (involved[rows, None] | involved)
        reached = scores >= threshold
        matched[rows] = (reached & counted).sum(axis=1)
        pairs[rows] = counted.sum(axis=1)
        alike = ~different
        alike[np.arange(len(scores)), np.arange(first, first + len(scores))] = False
        accepted += int((reached & alike).sum())
        same += int(alike.sum())
    return matched, pairs, accepted / same if same else None


def _held_out_rate(test: LabelledVectors, held_out: LabelledVectors, threshold: float) -> Rate:
    both = LabelledVectors.__new__(LabelledVectors)
    both.vectors = np.concatenate([held_out.vectors, test.vectors])
    both.classes = np.concatenate([held_out.classes, test.classes + held_out.classes.max() + 1])
    involved = np.arange(len(both.vectors)) < len(held_out.vectors)
    matched, pairs, _ = _count(both, threshold, involved)
    if len(np.unique(held_out.classes)) < FEWEST_CLASSES:
        return _rate(matched, pairs, over="images")
    return _rate(np.bincount(both.classes, matched), np.bincount(both.classes, pairs), over="classes")


def _rate(matched: NDArray[np.int64], pairs: NDArray[np.int64], *, over: Literal["images", "classes"]) -> Rate:
    """Return the share of pairs that match and its interval, from the counts of each group (G,).

    Pairs that share an image are not independent. The jackknife (Efron & Stein, 1981) over the groups gives the
    variance of the share, which as an effective number of pairs goes into Wilson's interval (JASA, 1927), so that no
    interval leaves [0, 1] or has no width.
    """
    from scipy.stats import t

    groups = len(pairs)
    total, count = matched.sum() / 2, pairs.sum() / 2
    if not count or groups < 3:
        raise SearchError(
            f"Expected at least three test images, of at least two classes, got {groups} with {count:g} pairs of two "
            "classes. Use more test images."
        )
    share = total / count
    left_out = (total - matched) / np.maximum(count - pairs, 1)
    variance = (groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum()
    effective = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else groups / 2
    effective = min(max(effective, 1.0), count)
    z2 = float(t.ppf(0.975, groups - 1)) ** 2
    centre = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = np.sqrt(z2 * (share * (1 - share) / effective + z2 / (4 * effective**2))) / (1 + z2 / effective)
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return Rate(share=share, low=min(low, share), high=max(high, share), pairs=int(count), over=over)
