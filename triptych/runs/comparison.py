"""Comparison of two runs: the metrics of each, their difference, and whether it exceeds the noise of the images.

The noise is only that of the images. It does not include the variation between training seeds.
"""

from dataclasses import dataclass

import numpy as np

from triptych.metrics.intervals import LEVEL, Interval, Statistic, difference, interval, mcnemar
from triptych.runs.definitions import higher_is_better
from triptych.runs.per_image import PerImage


@dataclass(frozen=True)
class Figure:
    """A metric of two runs A and B.

    Attributes:
        name: The name in metrics.json.
        a, b: The value of each run; None for a run without it.
        difference: B - A; None if one of them is missing.
        p_value: The p-value of McNemar's exact test, for accuracies on the same images; else None.
    """

    name: str
    a: Interval | None
    b: Interval | None
    difference: Interval | None
    p_value: float | None = None

    @property
    def inside_noise(self) -> bool | None:
        """Whether the difference is within the noise: its interval includes 0, or McNemar's test is not significant.

        None if there is no difference.
        """
        if self.difference is None:
            return None
        uncertain = self.p_value is not None and self.p_value > 1 - LEVEL
        return uncertain or self.difference.low <= 0 <= self.difference.high

    @property
    def better(self) -> str | None:
        """The better run, "a" or "b"; None within the noise, or if neither higher nor lower is better."""
        more_is_better = higher_is_better(self.name)
        if self.difference is None or self.inside_noise or more_is_better is None:
            return None
        return "b" if (self.difference.estimate > 0) == more_is_better else "a"


@dataclass(frozen=True)
class Comparison:
    """All metrics of two runs.

    Attributes:
        figures: The metrics that at least one of the runs has.
        paired: Whether both are of the same images, so that the difficulty of an image cancels in the difference.
        images: Number of images of A and of B.
        only_right: Number of images that only A, and only B, classifies correctly; None if the images differ.
    """

    figures: tuple[Figure, ...]
    paired: bool
    images: tuple[int, int]
    only_right: tuple[int, int] | None


def compare(a: PerImage, b: PerImage) -> Comparison:
    """Compare two runs by their results per image."""
    paired = of_the_same_images(a, b)
    of_a, of_b = a.statistics(), b.statistics()
    only_right = _only_right(a, b) if paired else None
    return Comparison(
        tuple(
            _figure(name, of_a.get(name), of_b.get(name), paired, only_right if name == "accuracy" else None)
            for name in {**of_a, **of_b}
        ),
        paired,
        images=(len(a.columns["index"]), len(b.columns["index"])),
        only_right=only_right,
    )


def of_the_same_images(a: PerImage, b: PerImage) -> bool:
    """Return whether two tables are of the same images, by their digests of pixels and labels."""
    digest = a.description.get("images")
    return (
        digest is not None
        and digest == b.description.get("images")
        and all(np.array_equal(a.columns[name], b.columns[name]) for name in ("index", "label"))
    )


def _figure(
    name: str, a: Statistic | None, b: Statistic | None, paired: bool, only_right: tuple[int, int] | None
) -> Figure:
    return Figure(
        name,
        a=interval(a) if a else None,
        b=interval(b) if b else None,
        difference=difference(a, b, paired=paired) if a and b else None,
        p_value=mcnemar(*only_right) if only_right else None,
    )


def _only_right(a: PerImage, b: PerImage) -> tuple[int, int] | None:
    if not ("prediction" in a.columns and "prediction" in b.columns):
        return None
    right_a, right_b = (table.columns["prediction"] == table.columns["label"] for table in (a, b))
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
