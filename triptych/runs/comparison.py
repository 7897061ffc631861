"""Two runs side by side: each figure of either, their difference, and whether it is more than the noise of the images.

The noise is that of the images alone. How much two trainings differ that only differ in their seed is not in it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from triptych.runs.bootstrap import RESAMPLES, Floats, Interval, Statistic, bootstrap, interval, macro_f1, mean
from triptych.runs.definitions import higher_is_better
from triptych.runs.per_image import PerImage

NO_FIGURES = ("index", "label", "prediction", "confidence")
"""Columns whose mean says nothing of how good a model is."""


@dataclass(frozen=True)
class Figure:
    """A figure of two runs A and B.

    Attributes:
        name: As in metrics.json.
        a, b: The figure of each; None for a run that does not have it.
        difference: B - A; None where one of them is missing.
    """

    name: str
    a: Interval | None
    b: Interval | None
    difference: Interval | None

    @property
    def inside_noise(self) -> bool | None:
        """Whether the interval of the difference includes 0; None where there is no difference."""
        return None if self.difference is None else self.difference.low <= 0 <= self.difference.high

    @property
    def better(self) -> str | None:
        """The run that is better, "a" or "b"; None inside the noise, or where neither more nor less is better."""
        more_is_better = higher_is_better(self.name)
        if self.difference is None or self.inside_noise or more_is_better is None:
            return None
        return "b" if (self.difference.estimate > 0) == more_is_better else "a"


@dataclass(frozen=True)
class Comparison:
    """All figures of two runs.

    Attributes:
        figures: Those that at least one of the runs has.
        paired: Whether both are of the very same images: then an image counts as often for A as for B in a resample,
            and what is hard about it for both cancels out.
        images: How many images A and B were measured on.
        resamples: The draws that the intervals are of.
        only_right: How many images only A, and only B, names rightly; None where they are not of the same images.
    """

    figures: tuple[Figure, ...]
    paired: bool
    images: tuple[int, int]
    resamples: int
    only_right: tuple[int, int] | None


def compare(a: PerImage, b: PerImage, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two runs by their results per image.

    Args:
        a: The first run's.
        b: The second run's.
        resamples: Draws of the bootstrap; see `triptych.runs.bootstrap`.
        seed: The same seed gives the same intervals.
    """
    paired = of_the_same_images(a, b)
    of_a = _resampled(a, resamples, (seed, 0))
    # One seed and one number of images give one draw of them.
    of_b = _resampled(b, resamples, (seed, 0 if paired else 1))
    return Comparison(
        tuple(_figure(name, of_a.get(name), of_b.get(name)) for name in {**of_a, **of_b}),
        paired,
        images=(len(a.columns["index"]), len(b.columns["index"])),
        resamples=resamples,
        only_right=_only_right(a, b) if paired else None,
    )


def statistics(table: PerImage) -> dict[str, Statistic]:
    """Return the figures that can be computed from a table: accuracy, macro-F1, and the mean of every other column.

    A column without a single value, such as the average precision where every class has one image, gives none.
    """
    columns, found = table.columns, {}
    if "correct" in columns:
        found["accuracy"] = mean(columns["correct"])
    if "prediction" in columns:
        found["macro_f1"] = macro_f1(columns["label"], columns["prediction"])
    rest = (name for name in columns if name not in NO_FIGURES and name != "correct")
    found |= {name: mean(columns[name]) for name in rest if np.isfinite(columns[name]).any()}
    return found


def of_the_same_images(a: PerImage, b: PerImage) -> bool:
    """Say whether two tables are of the same images, by the digest of pixels and labels that they carry."""
    digest = a.description.get("images")
    return (
        digest is not None
        and digest == b.description.get("images")
        and all(np.array_equal(a.columns[name], b.columns[name]) for name in ("index", "label"))
    )


class _Resampled(NamedTuple):
    """A figure and its resamples, (R,)."""

    value: float
    draws: Floats


def _resampled(table: PerImage, resamples: int, seed: tuple[int, int]) -> dict[str, _Resampled]:
    found = statistics(table)
    draws = bootstrap(list(found.values()), resamples=resamples, seed=seed)
    return {name: _Resampled(found[name].value, own) for name, own in zip(found, draws.T, strict=True)}


def _figure(name: str, a: _Resampled | None, b: _Resampled | None) -> Figure:
    return Figure(
        name,
        a=interval(*a) if a else None,
        b=interval(*b) if b else None,
        difference=interval(b.value - a.value, b.draws - a.draws) if a and b else None,
    )


def _only_right(a: PerImage, b: PerImage) -> tuple[int, int] | None:
    if not ("correct" in a.columns and "correct" in b.columns):
        return None
    right_a, right_b = (table.columns["correct"].astype(bool) for table in (a, b))
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
