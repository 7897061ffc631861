"""The triplet loss over given triplets, for training on triplets drawn from a data set."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TripletStatistics(NamedTuple):
    """A triplet loss and the counts of its triplets: scalars on the embeddings' device."""

    loss: Tensor
    """Mean over all drawn triplets, or over the active mined ones (0 if there are none)."""
    active: Tensor
    """Number of triplets whose loss is positive (and, if semi-hard, whose negative is within the band), int64."""
    valid: Tensor
    """Number of drawn or valid triplets, int64; with mining "hard", one for each anchor that has any."""

    @property
    def active_fraction(self) -> Tensor:
        """Share of the valid triplets that are active, in [0, 1]; 0 if there are none."""
        return self.active / self.valid.clamp(min=1)


class TripletLoss(nn.Module):
    """Makes the distance from each anchor to its positive smaller than to its negative.

    With a margin, the loss is max(0, d_ap - d_an + margin), as in FaceNet (Schroff et al. 2015) but with Euclidean
    distances, not squared: value and gradient equal `torch.nn.TripletMarginLoss`. Without a margin, it is the soft
    margin log(1 + exp(d_ap - d_an)) of Hermans et al. 2017. Reduction: the mean over the batch.

    Args:
        margin: Required difference of the two distances, above 0; None selects the soft margin.

    Raises:
        ValueError: The margin is neither None nor a finite number above 0.

    Example:
        >>> anchor, positive, negative = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]]])
        >>> TripletLoss(margin=1.0)(anchor, positive, negative)
        tensor(0.5000)
    """

    inputs = ("embedding", "positive", "negative")

    def __init__(self, *, margin: float | None = 0.2) -> None:
        super().__init__()
        self.margin = checked_margin(margin)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Compare (B, E) anchors with their (B, E) positives and negatives; returns a scalar, at least float32.

        Raises:
            ValueError: As in `measure`.
        """
        return self.measure(anchor, positive, negative).loss

    def measure(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> TripletStatistics:
        """Compute the same loss and the number of its triplets.

        Raises:
            ValueError: The three shapes differ or are not (B, E).
        """
        if anchor.ndim != 2 or not anchor.shape == positive.shape == negative.shape:
            raise ValueError(
                "anchor, positive and negative must have one shape (B, E), but they have "
                f"{tuple(anchor.shape)}, {tuple(positive.shape)} and {tuple(negative.shape)}; "
                "embed the three in the same way, one row for each triplet, or use BatchTripletLoss with labels"
            )
        dtype = torch.promote_types(anchor.dtype, torch.float32)
        anchor, positive, negative = anchor.to(dtype), positive.to(dtype), negative.to(dtype)
        if self.margin is not None:
            losses = F.triplet_margin_loss(anchor, positive, negative, margin=self.margin, reduction="none")
        else:
            losses = F.softplus(F.pairwise_distance(anchor, positive) - F.pairwise_distance(anchor, negative))
        drawn = losses.new_full((), len(losses), dtype=torch.int64)
        return TripletStatistics(losses.mean(), (losses > 0).sum(), drawn)

    def extra_repr(self) -> str:
        """Return the margin, for `print(loss)`."""
        return f"margin={self.margin}"


def checked_margin(margin: float | None) -> float | None:
    """Return the margin, or raise ValueError if it is neither None nor a finite number above 0."""
    if margin is not None and not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a finite number above 0, but it is {margin}; None is the soft margin")
    return margin
