"""Confidence intervals of metrics over the population of images.

Each metric has influences: numbers, one for each image or each replicate, whose squares sum to the metric's variance.
Two metrics of the same images have paired influences, so that the variance of their difference is the sum of the
squared differences of the influences. Letters: N images, M influences.
"""

from dataclasses import dataclass, replace
from math import comb, exp, inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Confidence level: the share of intervals that contain the value for the population of images."""

CALIBRATION_BINS = 15
"""Bins of the expected calibration error, as in Guo et al. 2017."""

QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)

FEW = 3
"""Counts, such as errors, up to which Wilson's interval is too narrow: a small count has a Poisson distribution, which
is far from normal (Brown, Cai & DasGupta 2001, section 4.1.1)."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Statistic:
    """A metric of N images.

    Attributes:
        value: The value of the metric.
        influences: (M,), finite; their squares sum to the variance of the value.
        images: N, number of images that have a value.
        is_share: Whether the value lies between 0 and 1, as an accuracy does.
        counts_images: Whether it is the share of images with some property, the mean of zeros and ones: its variance is
            then at least that of N independent images.
        least: The minimum of the metric, unless it is a share.
        most: The maximum, likewise.
    """

    value: float
    influences: Floats
    images: int
    is_share: bool
    counts_images: bool = False
    least: float = -inf
    most: float = inf

    @property
    def variance(self) -> float:
        """The estimated variance of the metric over samples of N images."""
        return float(np.square(self.influences).sum())


def mean(values: ArrayLike, *, is_share: bool = False) -> Statistic:
    """Return the mean over the images that have a value, (N,); images without one (NaN, infinity) are omitted.

    Example:
        >>> mean([1.0, 0.0, np.nan, 1.0]).value
        0.6666666666666666
    """
    array = np.asarray(values, dtype=np.float64)
    valid = np.isfinite(array)
    count = int(valid.sum())
    value = float(array[valid].mean()) if count else float("nan")
    deviations = np.where(valid, array - value, 0.0)
    # For a share p, the mean of zeros and ones, the variance is p (1 - p) / N, which gives Wilson's interval for N
    # images.
    scale = max(count, 1) if is_share else sqrt(max(count * (count - 1), 1))
    return Statistic(value, deviations / scale, count, is_share)


def macro_f1(labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> Statistic:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN), from labels and predictions, (N,) each.

    As in scikit-learn, a class without labels and predictions is omitted. The influences are those of the jackknife:
    the value without each image in turn (Efron & Tibshirani 1993, chapter 11).

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])).value
        0.6666666666666666
    """
    classes, codes = np.unique(np.concatenate([labels, predictions]), return_inverse=True)
    actual, predicted = np.split(codes, 2)
    hits = np.bincount(actual[actual == predicted], minlength=len(classes)).astype(np.float64)
    named = np.bincount(codes, minlength=len(classes)).astype(np.float64)  # 2 TP + FP + FN
    scores = 2 * hits / named
    value, count = float(scores.mean()), len(labels)

    def without(kept_hits: Floats, kept_named: Floats, old: Floats) -> tuple[Floats, Floats]:
        """Return the changes of the sum of the scores and of the number of classes."""
        new = np.divide(2 * kept_hits, kept_named, out=np.zeros_like(old), where=kept_named > 0)
        return new - old, -(kept_named == 0).astype(np.float64)

    right = actual == predicted
    change, lost = without(hits[actual] - right, named[actual] - 1 - right, scores[actual])
    also, gone = without(hits[predicted], named[predicted] - 1, scores[predicted])
    left = np.maximum(len(classes) + lost + np.where(right, 0, gone), 1)
    leave_one_out = (scores.sum() + change + np.where(right, 0, also)) / left
    deviations = leave_one_out - leave_one_out.mean()
    return Statistic(value, deviations * sqrt((count - 1) / count), count, is_share=True)


def calibration_error(confidence: ArrayLike, correct: ArrayLike) -> Statistic:
    """Return the expected calibration error in 15 equal bins (Guo et al. 2017) from confidence and correctness, (N,).

    Each image changes the error of its bin by its confidence minus its correctness, or by the opposite if the bin is
    underconfident; these are the influences (delta method). Noise makes the error of a calibrated model positive: the
    interval is that of the measured error, not of the error without noise.

    Example:
        >>> calibration_error([0.9, 0.9], [True, False]).value
        0.4
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    number, gaps = np.floor(sure * CALIBRATION_BINS).astype(int), sure - right
    return replace(mean(np.sign(np.bincount(number, gaps))[number] * gaps), least=0.0, most=1.0)


def interval(statistic: Statistic) -> Interval:
    """Compute the confidence interval of a metric.

    A share has Wilson's interval (JASA 1927) for the number of independent images that gives its variance (the
    effective sample size, Korn & Graubard 1998), at most N for a share of images; if the variance is zero, as for an
    accuracy of 1, for N images. With at most three images from 0 or from 1, the bound next to 0 or 1 is that of a
    Poisson count (Brown, Cai & DasGupta 2001). Any other metric has value ± 1.96 standard errors, clipped to its range.

    Example:
        >>> found = interval(mean(np.ones(100), is_share=True))
        >>> found.estimate, round(found.low, 3), found.high
        (1.0, 0.963, 1.0)
    """
    value, variance = statistic.value, statistic.variance
    if not statistic.is_share:
        half = QUANTILE * sqrt(variance)
        low, high = max(value - half, statistic.least), min(value + half, statistic.most)
        return Interval(value, min(value, low), max(value, high))
    effective = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else statistic.images
    if statistic.counts_images:
        effective = min(effective, statistic.images)
    return _few_images(wilson(value, effective), effective)


def _few_images(found: Interval, count: float) -> Interval:
    """Widen Wilson's interval of a share of `count` images if only few of them make it differ from 0 or 1."""
    from scipy.special import gammaincinv

    low, high = found.low, found.high
    of, others = (round(share * count, 6) for share in (found.estimate, 1 - found.estimate))
    if 0 < of <= FEW:
        low = min(low, float(gammaincinv(of, 1 - LEVEL)) / count)
    if 0 < others <= FEW:
        high = max(high, 1 - float(gammaincinv(others, 1 - LEVEL)) / count)
    return replace(found, low=low, high=high)


def wilson(share: float, count: float) -> Interval:
    """Compute Wilson's interval of a share of `count` images.

    Example:
        >>> wilson(0.0, 10)
        Interval(estimate=0.0, low=0.0, high=0.277...)
    """
    if not count > 0:
        return Interval(share, 0.0, 1.0)
    square = QUANTILE**2 / count
    middle, half = (share + square / 2) / (1 + square), sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return Interval(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def difference(a: Statistic, b: Statistic, *, paired: bool) -> Interval:
    """Compute the confidence interval of the difference b - a of a metric of two models.

    For shares of the same images, two pseudo-images are added, on which each model alone is correct half a time
    (Agresti & Min 2005), so that the interval is not too narrow with few differences. For shares of different images,
    the squared distances to the bounds of their own intervals are added (Newcombe 1998, method 10).

    Args:
        a: The metric of the first model.
        b: The metric of the second model.
        paired: Whether both are of the same images.

    Example:
        >>> a, b = mean([0, 0, 1, 1], is_share=True), mean([0, 1, 1, 1], is_share=True)
        >>> difference(a, b, paired=True).estimate
        0.25
    """
    estimate = b.value - a.value
    if paired and a.influences.shape == b.influences.shape:
        variance, count = float(np.square(b.influences - a.influences).sum()), min(a.images, b.images)
        middle = estimate
        if a.is_share:
            middle = estimate * count / (count + 2)
            squares = count**2 * variance + 2 * estimate**2 * count / (count + 2) + 1
            variance = squares / (count + 2) ** 2
        half = QUANTILE * sqrt(variance)
        return Interval(estimate, middle - half, middle + half)
    if not a.is_share:
        half = QUANTILE * sqrt(a.variance + b.variance)
        return Interval(estimate, estimate - half, estimate + half)
    of_a, of_b = interval(a), interval(b)
    below = sqrt((b.value - of_b.low) ** 2 + (of_a.high - a.value) ** 2)
    above = sqrt((of_b.high - b.value) ** 2 + (a.value - of_a.low) ** 2)
    return Interval(estimate, estimate - below, estimate + above)


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact test, whose null hypothesis is two equally accurate models.

    Args:
        only_a: Images that A alone classifies correctly.
        only_b: Images that B alone classifies correctly.

    Example:
        >>> mcnemar(0, 5), mcnemar(0, 6), mcnemar(4, 4)
        (0.0625, 0.03125, 1.0)
    """
    total, least = only_a + only_b, min(only_a, only_b)
    tail = sum(comb(total, number) for number in range(least + 1))
    return min(1.0, 2 * tail / (1 << total))


def ratio_of_errors(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Interval:
    """Compute the confidence interval of the ratio of errors on the same images, theirs / ours.

    The logarithm of the ratio has the variance (only ours + only theirs) / (ours · theirs), as in Bonett & Price 2006.
    If one of the methods makes no error, there is no ratio: the bound is then infinite or zero.

    Args:
        ours: Whether our method is wrong, for each image (N,).
        theirs: Whether the other method is wrong, likewise.

    Example:
        >>> ours = np.arange(100) < 4
        >>> theirs = np.arange(100) < 20
        >>> found = ratio_of_errors(ours, theirs)
        >>> found.estimate, round(found.low, 1), round(found.high, 1)
        (5.0, 2.1, 12.0)
    """
    errors, others = int(ours.sum()), int(theirs.sum())
    if not errors or not others:
        return Interval(others / errors if errors else float("inf"), 0.0, float("inf"))
    half = QUANTILE * sqrt(int((ours != theirs).sum()) / (errors * others))
    return Interval(others / errors, others / errors * exp(-half), others / errors * exp(half))
