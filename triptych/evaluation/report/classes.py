"""How every class fares, the worst first, for the table beside the confusion matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.evaluation.report.panels import percent


@dataclass(frozen=True)
class ClassRow:
    """A class.

    Attributes:
        name: Its name.
        share: Of its images, those that are named right.
        accuracy: The same for people.
        images: How many it has.
        confused: The class that it is most often taken for, and how often; empty where it never is.
    """

    name: str
    share: float
    accuracy: str
    images: str
    confused: str


def class_rows(figures: Mapping[str, Any], classes: Sequence[str]) -> list[ClassRow]:
    """Tell how every class fares that has images in the split, the worst first.

    Args:
        figures: With `confusion`: how many images of each class (rows) were given each name (columns).
        classes: The names of the classes, in the order of the labels.

    Example:
        >>> for row in class_rows({"confusion": [[3, 1, 0], [0, 2, 0], [0, 0, 0]]}, ["cat", "dog", "emu"]):
        ...     print(row.name, row.accuracy, row.confused)
        cat 75.0% dog (1)
        dog 100%
    """
    rows = []
    for label, counts in enumerate(figures["confusion"]):
        if images := sum(counts):
            share = counts[label] / images
            others = [0 if other == label else count for other, count in enumerate(counts)]
            worst = max(range(len(others)), key=others.__getitem__)
            confused = f"{classes[worst]} ({others[worst]:,})" if others[worst] else ""
            rows.append(ClassRow(classes[label], share, percent(share, of=images), f"{images:,}", confused))
    return sorted(rows, key=lambda row: row.share)
