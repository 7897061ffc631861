"""How much a figure would vary with other test images: the bootstrap, for figures made of sums over images.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16: the images are drawn again with
replacement, and the percentiles of the figures of many such draws bound the figure. Letters: N images, R resamples,
M sums, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95
"""The probability with which an interval is meant to cover the figure over all images of this kind."""
CHUNK_ELEMENTS = 2**20
"""Counts that are held at a time: 8 MiB, and twice as much again while they are drawn."""


@dataclass(frozen=True)
class Statistic:
    """A figure that depends on the images through sums over them.

    Attributes:
        columns: What each image adds to the sums, (N, M).
        figure: From the sums, (..., M), to the figure, (...); NaN where it is not defined.
    """

    columns: Floats
    figure: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        """The figure of the images themselves."""
        return float(self.figure(self.columns.sum(axis=0)))


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it lies with the probability `LEVEL`."""

    estimate: float
    low: float
    high: float


def mean(values: ArrayLike) -> Statistic:
    """The mean over the images that have a value, (N,); an image without one (NaN, infinity) is left out.

    Example:
        >>> mean([1.0, 0.0, np.nan, 1.0]).value
        0.6666666666666666
    """
    array = np.asarray(values, dtype=np.float64)
    valid = np.isfinite(array)
    return Statistic(np.stack([np.where(valid, array, 0.0), valid], axis=1), _ratio)


def macro_f1(labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> Statistic:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), from labels and predictions, (N,) each.

    As scikit-learn has it, a class that is neither among the labels nor among the predictions is left out; a resample
    can lose a class in this way.

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])).value
        0.6666666666666666
    """
    classes = np.union1d(labels, predictions)
    actual, predicted = (np.asarray(named)[:, None] == classes for named in (labels, predictions))
    columns = np.concatenate([actual & predicted, actual.astype(np.int64) + predicted], axis=1)
    return Statistic(columns.astype(np.float64), _mean_f1)


def bootstrap(statistics: Sequence[Statistic], *, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0) -> Floats:
    """Compute figures of images drawn again with replacement.

    All statistics are of the same N images, and in every resample of the same draw of them, which depends on N and the
    seed alone. Differences of two columns, of one call or of two, are therefore paired.

    Args:
        statistics: S of them.
        resamples: R draws of N images each.
        seed: Whatever `numpy.random.default_rng` takes as a seed.

    Returns:
        The figures of each resample, (R, S).

    Raises:
        ValueError: There are no statistics or no images, or the statistics are of different numbers of images.

    Example:
        >>> draws = bootstrap([mean(np.arange(100.0))], resamples=2000)
        >>> draws.shape, bool(abs(draws.std() - np.arange(100.0).std() / 10) < 0.1)
        ((2000, 1), True)
    """
    sizes = {len(statistic.columns) for statistic in statistics}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"statistics must be of one and the same images, at least one, but they are of {sizes} images")
    images = sizes.pop()
    columns = np.concatenate([statistic.columns for statistic in statistics], axis=1)
    ends = np.cumsum([statistic.columns.shape[1] for statistic in statistics])[:-1]
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // images)
    parts = []
    for start in range(0, resamples, chunk):
        sums = _counts(generator, min(chunk, resamples - start), images) @ columns
        split = np.split(sums, ends, axis=1)
        figures = [statistic.figure(own) for statistic, own in zip(statistics, split, strict=True)]
        parts.append(np.stack(figures, axis=1))
    return np.concatenate(parts)


def interval(estimate: float, draws: Floats) -> Interval:
    """Bound a figure by the percentiles of its R resamples; those in which it is not defined are left out."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return Interval(estimate, float(low), float(high))


def _counts(generator: np.random.Generator, resamples: int, images: int) -> Floats:
    """Draw how often each resample has each image, (R, N); every row sums to N."""
    drawn = generator.integers(images, size=(resamples, images))
    return np.array([np.bincount(row, minlength=images) for row in drawn], dtype=np.float64)


def _ratio(sums: Floats) -> Floats:
    return _divided(sums[..., 0], sums[..., 1])


def _mean_f1(sums: Floats) -> Floats:
    true_positives, denominators = np.split(sums, 2, axis=-1)
    scores = _divided(2 * true_positives, denominators)
    present = denominators > 0
    return _divided(np.where(present, scores, 0.0).sum(axis=-1), present.sum(axis=-1, dtype=np.float64))


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    # A sum of counts is whole, so that 1 is the smallest that is not nothing.
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1.0), np.nan)
