"""Classification: the confusion matrix, calibration, every class, and all misclassified images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.report.headlines import percent, percent_range
from triptych.evaluation.report.pictures import Picture, picture
from triptych.evaluation.writing import misclassified
from triptych.inspection.thumbnails import data_uri
from triptych.metrics.intervals import wilson
from triptych.visualisation import calibration_figure, confusion_figure

PICTURED = 1500
"""Misclassified images with a thumbnail; the page stays small enough for a browser."""
THUMBNAIL = 96
"""Pixels to a side of a thumbnail."""


def classification_pictures(evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw confusion matrix and reliability diagram."""
    counts = torch.tensor(evaluation.figures["confusion"])
    confidence, predicted = evaluation.outputs.probabilities.max(1)
    correct = predicted == evaluation.outputs.labels
    count = len(correct)
    sure, right = float(confidence.mean()), float(correct.float().mean())
    manner = "overconfident" if sure > right else "underconfident"
    return [
        picture(
            "confusion",
            confusion_figure(counts, classes=classes),
            title="Confusion matrix",
            caption="A row for each true class, a column for each predicted class. Correct predictions are on the "
            "diagonal.",
            alt=f"Confusion matrix of {len(classes)} classes; {percent(right, of=count)} are on the diagonal.",
        ),
        picture(
            "calibration",
            calibration_figure(confidence, correct),
            title="Calibration",
            caption="Of the images with a confidence of 80%, 80% should be classified correctly: the diagonal. The "
            f"mean confidence is {percent(sure, of=count)}, the accuracy {percent(right, of=count)}: the classifier is "
            f"{manner} by {abs(100 * (sure - right)):.2g} percentage points. The expected calibration error, the mean "
            f"difference over the bins, is {100 * evaluation.figures['ece']:.2g} points.",
            alt=f"Reliability diagram; the expected calibration error is {percent(evaluation.figures['ece'])}.",
        ),
    ]


@dataclass(frozen=True)
class ClassRow:
    """A class.

    Attributes:
        name: Its name.
        share: Share of its images that are classified correctly.
        accuracy: The same in per cent.
        interval: Its 95 % interval.
        images: How many it has.
        confused: The class that it is most often confused with, and how often; empty where it never is.
    """

    name: str
    share: float
    accuracy: str
    interval: str
    images: str
    confused: str


def class_rows(figures: Mapping[str, Any], classes: Sequence[str]) -> list[ClassRow]:
    """List the classes that have images in the split, the least accurate first.

    Args:
        figures: With `confusion`: counts of images by true class (rows) and predicted class (columns).
        classes: The names of the classes, in the order of the labels.

    Example:
        >>> for row in class_rows({"confusion": [[3, 1, 0], [0, 2, 0], [0, 0, 0]]}, ["cat", "dog", "emu"]):
        ...     print(row.name, row.accuracy, row.interval, row.confused)
        cat 75.0% 30.1% to 95.4% dog (1)
        dog 100% 34.2% to 100%
    """
    rows = []
    for label, counts in enumerate(figures["confusion"]):
        if images := sum(counts):
            share = counts[label] / images
            others = [0 if other == label else count for other, count in enumerate(counts)]
            worst = max(range(len(others)), key=others.__getitem__)
            confused = f"{classes[worst]} ({others[worst]:,})" if others[worst] else ""
            bounds = percent_range(wilson(share, images))
            rows.append(ClassRow(classes[label], share, percent(share, of=images), bounds, f"{images:,}", confused))
    return sorted(rows, key=lambda row: row.share)


@dataclass(frozen=True)
class Misclassified:
    """A misclassified image.

    Attributes:
        source: A data URI of its thumbnail; empty where the page would become too large.
        file: Its file, or its position in the split.
        label: Its class.
        predicted: The predicted class.
        confidence: The classifier's probability of it, in per cent.
    """

    source: str
    file: str
    label: str
    predicted: str
    confidence: str


def misclassified_images(evaluation: Evaluation, classes: Sequence[str]) -> list[Misclassified]:
    """List all misclassified images, the most confident errors first."""
    return [
        Misclassified(
            data_uri(evaluation.split.images[row], longest=THUMBNAIL) if rank < PICTURED else "",
            evaluation.name(row),
            classes[label],
            classes[predicted],
            percent(confidence),
        )
        for rank, (row, label, predicted, confidence) in enumerate(misclassified(evaluation))
    ]
