"""Classification: accuracy, F1, calibration and confusion, from a model's probabilities.

Letters: N images, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from triptych.metrics.inputs import in_double, require_labels, require_matrix
from triptych.metrics.intervals import CALIBRATION_BINS


class ClassificationMetrics(NamedTuple):
    """Classification metrics; the predicted class is the most probable one, the first in case of a tie."""

    accuracy: float
    """Share of correctly classified images."""
    macro_f1: float
    """F1 = 2 TP / (2 TP + FP + FN) of each class that is true or predicted somewhere, averaged over these classes."""
    ece: float
    """Expected calibration error: |confidence - accuracy| in 15 equal bins, weighted by images (Guo et al. 2017)."""
    nll: float
    """Mean negative log-probability of the true class, in nats; a probability of 0 counts as 708 nats."""
    per_class_accuracy: Tensor
    """(K,) float64, recall of each class, the share of its images classified correctly; NaN if it has none."""
    confusion: Tensor
    """(K, K) int64 confusion matrix; rows are true classes, columns predicted classes."""


def classification_metrics(probabilities: Tensor, labels: Tensor) -> ClassificationMetrics:
    """Compute metrics from probabilities and true classes.

    Args:
        probabilities: (N, K), rows that sum to 1, such as the softmax of logits.
        labels: (N,) class indices below K.

    Raises:
        ValueError: Shapes, types or values are invalid.

    Example:
        >>> result = classification_metrics(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]))
        >>> result.accuracy, result.confusion.tolist()
        (0.5, [[1, 0], [1, 0]])
    """
    from torchmetrics.functional.classification import (
        multiclass_calibration_error,
        multiclass_confusion_matrix,
        multiclass_f1_score,
    )

    require_matrix("probabilities", probabilities)
    require_labels("labels", labels, count=len(probabilities))
    probabilities = in_double(probabilities)
    labels = labels.to(probabilities.device, torch.int64)
    num_classes = probabilities.shape[1]
    _require_probabilities(probabilities)
    _require_known(labels, num_classes)
    predicted = probabilities.argmax(dim=1)
    of_truth = probabilities.gather(1, labels[:, None]).clamp(min=torch.finfo(probabilities.dtype).tiny)
    # torchmetrics rejects a single class; an additional class without images and predictions changes nothing.
    counted = max(num_classes, 2)
    confusion = multiclass_confusion_matrix(predicted, labels, num_classes=counted)[:num_classes, :num_classes]
    f1 = multiclass_f1_score(predicted, labels, num_classes=counted, average="macro")
    if num_classes < counted:
        probabilities = torch.nn.functional.pad(probabilities, (0, 1))
    ece = multiclass_calibration_error(probabilities, labels, num_classes=counted, n_bins=CALIBRATION_BINS)
    return ClassificationMetrics(
        accuracy=int((predicted == labels).sum()) / len(labels),
        macro_f1=float(f1),
        ece=float(ece),
        nll=float(-of_truth.log().mean()),
        per_class_accuracy=confusion.diag().double() / confusion.sum(dim=1),
        confusion=confusion,
    )


def _require_probabilities(rows: Tensor) -> None:
    wrong = (rows < 0).any(dim=1) | ((rows.sum(dim=1) - 1).abs() > 1e-2)  # tolerance of sums in bfloat16
    if wrong.any():
        first = int(wrong.nonzero()[0])
        raise ValueError(
            f"probabilities must be at least 0 and sum to 1 in each row, but row {first} goes from "
            f"{rows[first].min():.3g} up and sums to {rows[first].sum():.3g}; apply softmax to logits first"
        )


def _require_known(labels: Tensor, num_classes: int) -> None:
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise ValueError(
            f"labels must lie in 0 to {num_classes - 1}, for which there are probabilities, but they go from {lowest} "
            f"to {highest}; give those that the model was trained with"
        )
