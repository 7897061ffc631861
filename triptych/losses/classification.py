"""The cross-entropy of the classifier."""

from torch import nn


class ClassificationLoss(nn.CrossEntropyLoss):
    """PyTorch's cross-entropy of logits (B, K) and classes (B,), in nats. Reduction: the mean over the batch.

    Args:
        label_smoothing: share of the target's probability that is spread evenly over all classes, in [0, 1).
    """

    inputs = ("logits", "label")

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
