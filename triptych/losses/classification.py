"""The cross-entropy of the classifier."""

from torch import nn


class ClassificationLoss(nn.CrossEntropyLoss):
    """PyTorch's cross-entropy of logits (B, K) and class labels (B,), in nats. Reduction: the mean over the batch.

    Args:
        label_smoothing: Share of the target probability that is distributed evenly over all classes, in [0, 1).
    """

    inputs = ("logits", "label")

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
