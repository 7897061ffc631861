"""The pictures of naming: which class is taken for which, and whether the classifier knows how sure it may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.report.headlines import percent
from triptych.evaluation.report.pictures import Picture, picture
from triptych.visualisation import calibration_figure, confusion_figure


def naming_pictures(evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw confusion and calibration."""
    counts = torch.tensor(evaluation.figures["confusion"])
    confidence, predicted = evaluation.outputs.probabilities.max(1)
    correct = predicted == evaluation.outputs.labels
    count = len(correct)
    sure, right = float(confidence.mean()), float(correct.float().mean())
    manner = "More sure than right" if sure > right else "Less sure than right"
    return [
        picture(
            "confusion",
            confusion_figure(counts, classes=classes, title=""),
            title="What is taken for what",
            caption="A row for each class, a column for each name that its images were given. Right ones lie on the "
            "diagonal.",
            alt=f"Confusion matrix of {len(classes)} classes; {percent(right, of=count)} lie on the diagonal.",
        ),
        picture(
            "calibration",
            calibration_figure(confidence, correct, title=""),
            title="Does it know how sure it may be?",
            caption=f"Of the images about which the classifier is 80% sure, 80% should be right: the diagonal. On "
            f"average it is {percent(sure, of=count)} sure, and {percent(right, of=count)} are right. {manner}, by "
            f"{abs(100 * (sure - right)):.2g} points; bin by bin the mean distance is "
            f"{100 * evaluation.figures['ece']:.2g} points.",
            alt=f"Reliability diagram; the expected calibration error is {percent(evaluation.figures['ece'])}.",
        ),
    ]


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
