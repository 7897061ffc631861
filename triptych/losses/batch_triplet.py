"""The triplet loss over triplets mined in the batch, for training on batches of labelled images.

Letters: B batch, R reference embeddings (the batch itself by default), E embedding dimension. In every B x R matrix, a
row is an anchor.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.losses.calling import check_embeddings, triplets_of
from triptych.losses.distances import pairwise_distances
from triptych.losses.triplet import TripletStatistics, checked_margin

Mining = Literal["all", "semihard", "hard"]

SOFT_CHUNK_ELEMENTS = 2**22
"""Triplets in a chunk of the soft margin with mining "all", unless one anchor has more (B > 2,048)."""


class BatchTripletLoss(nn.Module):
    """The triplet loss over triplets (a, p, n) of the batch: p ≠ a of a's class, n of another class.

    With Euclidean distances d from `pairwise_distances`, the loss is max(0, d_ap - d_an + margin), or, without a
    margin, the soft margin log(1 + exp(d_ap - d_an)) of Hermans et al. 2017. Reduction: the mean over the triplets
    whose loss is positive (all of them with the soft margin); 0, with a zero gradient, if there are none. An embedding
    that is not finite makes the loss NaN.

    Mining:
        all: Every triplet ("batch all" of Hermans et al. 2017).
        semihard: Every triplet with d_ap < d_an < d_ap + margin (Schroff et al. 2015).
        hard: For each anchor, its farthest positive and its nearest negative ("batch hard" of Hermans et al. 2017).

    Cost: with a margin, time is O(B² log B) and memory O(B²): the B³ triplets are counted by sorting, not listed.
    The soft margin with mining "all" has to enumerate them: time O(B³), memory O(B²).

    Args:
        margin: Required difference of the two distances, above 0; None selects the soft margin.
        mining: The triplets of the batch that the loss uses.

    Raises:
        ValueError: The margin is neither None nor a finite number above 0; the mining is unknown; or semi-hard mining
            has no margin and thus no upper bound.

    Example:
        >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1])
        >>> BatchTripletLoss(margin=1.0, mining="all")(embeddings, labels)  # (0.5 + 1.5) / 2
        tensor(1.)
        >>> BatchTripletLoss(margin=1.0)(embeddings, labels)  # semihard: from anchor 0 alone
        tensor(0.5000)
    """

    inputs = ("embedding", "label")

    def __init__(self, *, margin: float | None = 0.2, mining: Mining = "semihard") -> None:
        super().__init__()
        if mining not in get_args(Mining):
            raise ValueError(f"mining must be one of {', '.join(get_args(Mining))}, but it is {mining!r}")
        if mining == "semihard" and margin is None:
            raise ValueError(
                "semihard mining expects a margin, which ends its band of negatives, but margin is None; "
                'give a margin, or choose mining "all" or "hard"'
            )
        self.margin = checked_margin(margin)
        self.mining: Mining = mining

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        indices_tuple: Sequence[Tensor] | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; the arguments are those of pytorch-metric-learning's losses.

        Args:
            embeddings: (B, E), the anchors.
            labels: (B,) integers; not needed with given triplets.
            indices_tuple: Triplets (a, p, n) of (T,) indices each, or pairs (a, p, a, n), as the miners of
                pytorch-metric-learning return them; they are used as given, without further mining.
            ref_emb: (R, E), the positives and negatives; by default the embeddings.
            ref_labels: (R,), their labels.

        Returns:
            A scalar, at least float32.

        Raises:
            ValueError: As in `measure`.
        """
        return self.measure(embeddings, labels, indices_tuple, ref_emb, ref_labels).loss

    def measure(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        indices_tuple: Sequence[Tensor] | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> TripletStatistics:
        """Compute the same loss and the number of its triplets; the arguments are those of `forward`.

        Raises:
            ValueError: Shapes or types are incompatible, labels or reference embeddings are missing, or the indices of
                given triplets are out of range.
        """
        check_embeddings(embeddings, labels, ref_emb, ref_labels, has_triplets=indices_tuple is not None)
        distances = pairwise_distances(embeddings, ref_emb)
        if indices_tuple is not None:
            return _given(distances, *triplets_of(indices_tuple), self.margin)
        assert labels is not None
        columns = labels if ref_labels is None else ref_labels
        negative = labels[:, None] != columns
        positive = ~negative if ref_emb is not None else (~negative).fill_diagonal_(False)
        if self.mining == "hard":
            return _hardest(distances, positive, negative, self.margin)
        if self.margin is None:
            return _all_soft(distances, positive, negative)
        return _within_margin(distances, positive, negative, self.margin, semihard=self.mining == "semihard")

    def extra_repr(self) -> str:
        """Return the margin and the mining, for `print(loss)`."""
        return f"margin={self.margin}, mining={self.mining!r}"


def _given(
    distances: Tensor, anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float | None
) -> TripletStatistics:
    """Compute the loss of given triplets; the mean is over those whose loss is positive, for any mining."""
    try:
        gaps = distances[anchors, positives] - distances[anchors, negatives]
    except IndexError as error:
        raise ValueError(
            f"indices_tuple must hold positions in {distances.shape[0]} embeddings and {distances.shape[1]} reference "
            f"embeddings, but {error}; mine the triplets in the same embeddings"
        ) from error
    losses = F.softplus(gaps) if margin is None else F.relu(gaps + margin)
    valid = losses.new_full((), len(losses), dtype=torch.int64)
    active = valid if margin is None else (losses > 0).sum()
    # A sum over zero triplets would have no gradient.
    return TripletStatistics(losses.sum() / active.clamp(min=1) + 0 * distances.sum(), active, valid)


def _within_margin(
    distances: Tensor, positive: Tensor, negative: Tensor, margin: float, *, semihard: bool
) -> TripletStatistics:
    """Compute the loss of all or of semi-hard triplets by counting.

    The loss is linear in the distances: the sum over the active triplets of d_ap - d_an + margin is the sum over all
    pairs of ± d times the number of active triplets that contain the pair. Sorted by distance, the active negatives of
    a pair (a, p) form a contiguous interval. The count of a positive is the length of its interval, the count of a
    negative is the number of intervals that contain it. Both are constant for the gradient, which is exact and
    deterministic.
    """
    with torch.no_grad():
        near_to_far, negatives = distances.masked_fill(~negative, torch.inf).sort(dim=1)
        to_positives = distances.masked_fill(~positive, torch.inf)
        to_positive, positives = to_positives.topk(most_positives(positive), dim=1, largest=False)
        is_positive = to_positive.isfinite()  # anchors with fewer positives are padded

        ends = torch.searchsorted(near_to_far, to_positive + margin)  # active: d_an < d_ap + margin
        starts = torch.searchsorted(near_to_far, to_positive, right=True) if semihard else torch.zeros_like(ends)
        of_positive = (ends - starts) * is_positive
        of_negative = _runs_over(starts, ends, is_positive.long(), places=distances.shape[1])

        active = of_positive.sum()
        triplets = torch.zeros_like(distances).scatter_(1, negatives, -of_negative.to(distances.dtype))
        triplets.scatter_add_(1, positives, of_positive.to(distances.dtype))
        weights = triplets / active.clamp(min=1)
    loss = (weights * distances).sum() + margin * (active > 0).to(distances.dtype)
    return TripletStatistics(loss, active, _count_valid(positive, negative))


def most_positives(positive: Tensor) -> int:
    """Return the largest number of positives of an anchor; on a GPU an upper bound, to avoid a synchronisation."""
    return int(positive.sum(dim=1).max()) if positive.device.type == "cpu" else positive.shape[1]


def _runs_over(starts: Tensor, ends: Tensor, counts: Tensor, *, places: int) -> Tensor:
    """Count the intervals [start, end) of each row (B, P) that contain each position: (B, places) int64.

    Each interval adds its count, 1 or 0, at its start and subtracts it at its end; the cumulative sum is the result.
    """
    rows = torch.arange(len(starts), device=starts.device)[:, None] * (places + 1)
    changes = torch.zeros(len(starts) * (places + 1), dtype=torch.int64, device=starts.device)
    changes.index_add_(0, (rows + starts).flatten(), counts.flatten())
    changes.index_add_(0, (rows + ends).flatten(), -counts.flatten())
    return changes.view(-1, places + 1).cumsum(dim=1)[:, :-1]


def _hardest(distances: Tensor, positive: Tensor, negative: Tensor, margin: float | None) -> TripletStatistics:
    """Compute the loss of each anchor's farthest positive and nearest negative; ties share the gradient."""
    farthest = distances.masked_fill(~positive, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(~negative, torch.inf).amin(dim=1)
    gap = farthest - nearest  # -inf if the anchor lacks either: loss and gradient are then 0
    losses = F.softplus(gap) if margin is None else F.relu(gap + margin)
    valid = (positive.any(dim=1) & negative.any(dim=1)).sum()
    active = valid if margin is None else (losses > 0).sum()
    return TripletStatistics(losses.sum() / active.clamp(min=1), active, valid)


def _all_soft(distances: Tensor, positive: Tensor, negative: Tensor) -> TripletStatistics:
    """Compute the soft margin loss of all triplets, a few anchors at a time.

    The loss and its derivative with respect to each distance are summed in the same pass, so that nothing of size B³
    is stored for the backward pass.
    """
    valid = _count_valid(positive, negative)
    with torch.no_grad():
        to_positive = distances.masked_fill(~positive, -torch.inf)
        to_negative = distances.masked_fill(~negative, torch.inf)
        chunk = max(1, SOFT_CHUNK_ELEMENTS // positive.numel())
        # Written in place: small allocations between the large ones of the chunks would fragment the heap.
        losses, weights = torch.empty_like(distances[:, 0]), torch.empty_like(distances)
        parts = (torch.split(whole, chunk) for whole in (to_positive, to_negative, losses, weights))
        for positives, negatives, loss, weight in zip(*parts, strict=True):
            gap = positives[:, :, None] - negatives[:, None, :]  # -inf without a triplet: loss and slope are 0
            loss.copy_(F.softplus(gap).sum(dim=(1, 2)))
            slope = gap.sigmoid_()
            weight.copy_(slope.sum(dim=2) - slope.sum(dim=1))
        count = valid.clamp(min=1)
        value = losses.sum() / count
        weights /= count
    return TripletStatistics(value + (weights * (distances - distances.detach())).sum(), valid, valid)


def _count_valid(positive: Tensor, negative: Tensor) -> Tensor:
    """Return the number of valid triplets for the labels."""
    return (positive.sum(dim=1) * negative.sum(dim=1)).sum()
