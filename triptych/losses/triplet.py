"""The triplet loss over triplets that are given: for training on the triplets of a data set."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TripletStatistics(NamedTuple):
    """A triplet loss and the counts of its triplets: scalars on the embeddings' device, not read yet."""

    loss: Tensor
    """Of drawn triplets the mean over all; of mined ones the mean over the active, 0 where there are none."""
    active: Tensor
    """Triplets whose loss is positive (and, semi-hard, whose negative lies in the band), int64."""
    valid: Tensor
    """Triplets that were drawn, or that the labels allow, int64; with mining "hard", one for each anchor with any."""

    @property
    def active_fraction(self) -> Tensor:
        """The share of the valid triplets that is active, in [0, 1]; 0 where none is valid."""
        return self.active / self.valid.clamp(min=1)


class TripletLoss(nn.Module):
    """Moves each anchor nearer to its positive than to its negative.

    With a margin, max(0, d_ap - d_an + margin), as in FaceNet (Schroff et al. 2015) but with Euclidean distances, not
    squared: value and gradient are those of `torch.nn.TripletMarginLoss`. Without, the soft margin
    log(1 + exp(d_ap - d_an)) of Hermans et al. 2017. Reduction: the mean over the batch.

    Args:
        margin: how much nearer the positive must be, above 0, in units of distance; None is the soft margin.

    Raises:
        ValueError: the margin is neither None nor a finite number above 0.

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
        """Compare (B, E) anchors with their (B, E) positives and negatives; returns a scalar, float32 at least.

        Raises:
            ValueError: as `measure`.
        """
        return self.measure(anchor, positive, negative).loss

    def measure(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> TripletStatistics:
        """The same loss, with the number of its triplets.

        Raises:
            ValueError: the three are not of one shape (B, E).
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
        """The margin, for `print(loss)`."""
        return f"margin={self.margin}"


def checked_margin(margin: float | None) -> float | None:
    """Return the margin, or raise ValueError where it is neither None nor a finite number above 0."""
    if margin is not None and not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a finite number above 0, but it is {margin}; None is the soft margin")
    return margin
