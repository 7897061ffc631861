"""The pictures of naming: which class is taken for which, and whether the classifier knows how sure it may be."""

from collections.abc import Sequence

import torch

from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.report.panels import percent
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
