"""The triplet loss over triplets mined in the batch: for training on plain labelled batches.

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

    Euclidean distances d, as given by `pairwise_distances`, with max(0, d_ap - d_an + margin), or, without a margin,
    the soft margin log(1 + exp(d_ap - d_an)) of Hermans et al. 2017. Reduction: the mean over the triplets whose loss
    is positive (all of them under the soft margin); 0, with a gradient of zeros, where there are none. An embedding
    that is not finite makes the loss NaN.

    Mining:
        all: every triplet ("batch all" of Hermans et al. 2017).
        semihard: every triplet with d_ap < d_an < d_ap + margin (Schroff et al. 2015).
        hard: for each anchor its farthest positive and its nearest negative ("batch hard" of Hermans et al. 2017).

    Costs: with a margin, time is O(B² log B) and memory O(B²): the B³ triplets are counted by sorting, not listed.
    The soft margin with mining "all" has to visit them: time O(B³), memory O(B²).

    Args:
        margin: how much nearer the positive must be, above 0, in units of distance; None is the soft margin.
        mining: which of the batch's triplets count.

    Raises:
        ValueError: the margin is neither None nor a finite number above 0; an unknown mining; or semi-hard mining
            without a margin, so that its band has no upper end.

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
        """Compare embeddings by their labels; the arguments are those of the losses of pytorch-metric-learning.

        Args:
            embeddings: (B, E), the anchors.
            labels: (B,) integers; not needed where triplets are given.
            indices_tuple: triplets (a, p, n) of (T,) positions each, or pairs (a, p, a, n), as the miners of
                pytorch-metric-learning return them; they are compared as given, without further mining.
            ref_emb: (R, E), where positives and negatives are taken from; by default from the embeddings.
            ref_labels: (R,), their labels.

        Returns:
            A scalar, float32 at least.

        Raises:
            ValueError: as `measure`.
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
        """The same loss, with the number of its triplets; the arguments are those of `forward`.

        Raises:
            ValueError: shapes or types do not fit, labels or reference embeddings are missing, or the positions of
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
        """The margin and the mining, for `print(loss)`."""
        return f"margin={self.margin}, mining={self.mining!r}"


def _given(
    distances: Tensor, anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float | None
) -> TripletStatistics:
    """The triplets at these positions, all of one kind: those whose loss is positive count in the mean."""
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
    # A sum over no triplets at all would have no gradient.
    return TripletStatistics(losses.sum() / active.clamp(min=1) + 0 * distances.sum(), active, valid)


def _within_margin(
    distances: Tensor, positive: Tensor, negative: Tensor, margin: float, *, semihard: bool
) -> TripletStatistics:
    """All or semi-hard triplets, by counting.

    The loss is linear in the distances: the sum over the active triplets of d_ap - d_an + margin is the sum over all
    pairs of ± d times the number of active triplets that the pair is in. Sorted by distance, the negatives of a pair
    (a, p) are a run, from its first to its last. The lengths of the runs are the positives' numbers, and how many runs
    lie over a negative is its own; both are constants to the gradient, which is therefore exact and deterministic.
    """
    with torch.no_grad():
        near_to_far, negatives = distances.masked_fill(~negative, torch.inf).sort(dim=1)
        to_positives = distances.masked_fill(~positive, torch.inf)
        to_positive, positives = to_positives.topk(most_positives(positive), dim=1, largest=False)
        is_positive = to_positive.isfinite()  # anchors with fewer than the most positives are filled up

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
    """The positives of the anchor that has most, or, on a GPU, as many as there could be: the count would stall it."""
    return int(positive.sum(dim=1).max()) if positive.device.type == "cpu" else positive.shape[1]


def _runs_over(starts: Tensor, ends: Tensor, counts: Tensor, *, places: int) -> Tensor:
    """How many of each row's runs from start to before end (B, P) lie over each of its places: (B, places) int64.

    A run adds its count, 1 or 0, where it starts, and takes it away where it has ended; the sums from the left count.
    """
    rows = torch.arange(len(starts), device=starts.device)[:, None] * (places + 1)
    changes = torch.zeros(len(starts) * (places + 1), dtype=torch.int64, device=starts.device)
    changes.index_add_(0, (rows + starts).flatten(), counts.flatten())
    changes.index_add_(0, (rows + ends).flatten(), -counts.flatten())
    return changes.view(-1, places + 1).cumsum(dim=1)[:, :-1]


def _hardest(distances: Tensor, positive: Tensor, negative: Tensor, margin: float | None) -> TripletStatistics:
    """The farthest positive and the nearest negative of each anchor; the gradient is shared among ties."""
    farthest = distances.masked_fill(~positive, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(~negative, torch.inf).amin(dim=1)
    gap = farthest - nearest  # -inf where the anchor lacks either: such a loss is 0, and so is its gradient
    losses = F.softplus(gap) if margin is None else F.relu(gap + margin)
    valid = (positive.any(dim=1) & negative.any(dim=1)).sum()
    active = valid if margin is None else (losses > 0).sum()
    return TripletStatistics(losses.sum() / active.clamp(min=1), active, valid)


def _all_soft(distances: Tensor, positive: Tensor, negative: Tensor) -> TripletStatistics:
    """All triplets under the soft margin, a few anchors at a time.

    The loss and its derivative by each distance are summed up in the same pass, so that nothing of size B³ is kept
    until the backward pass.
    """
    valid = _count_valid(positive, negative)
    with torch.no_grad():
        to_positive = distances.masked_fill(~positive, -torch.inf)
        to_negative = distances.masked_fill(~negative, torch.inf)
        chunk = max(1, SOFT_CHUNK_ELEMENTS // positive.numel())
        # Filled in place: small results kept between the chunks' large ones would fragment the heap.
        losses, weights = torch.empty_like(distances[:, 0]), torch.empty_like(distances)
        parts = (torch.split(whole, chunk) for whole in (to_positive, to_negative, losses, weights))
        for positives, negatives, loss, weight in zip(*parts, strict=True):
            gap = positives[:, :, None] - negatives[:, None, :]  # -inf, of loss and slope 0, where there is no triplet
            loss.copy_(F.softplus(gap).sum(dim=(1, 2)))
            slope = gap.sigmoid_()
            weight.copy_(slope.sum(dim=2) - slope.sum(dim=1))
        count = valid.clamp(min=1)
        value = losses.sum() / count
        weights /= count
    return TripletStatistics(value + (weights * (distances - distances.detach())).sum(), valid, valid)


def _count_valid(positive: Tensor, negative: Tensor) -> Tensor:
    """The number of triplets that the labels allow."""
    return (positive.sum(dim=1) * negative.sum(dim=1)).sum()
