"""The triplets that a trained model finds hardest, over all images of a split, for the report."""

from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**23
"""Distances that are computed in one go: 32 MiB."""


@dataclass(frozen=True, eq=False)
class Triplets:
    """Anchors with their farthest positives and their nearest negatives, the hardest first.

    Attributes:
        anchors, positives, negatives: Positions in the split, (T,) int64.
        distances: Euclidean, between unit embeddings, of each anchor from its positive and from its negative, (T, 2).
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    distances: Tensor


def hardest_triplets(embeddings: Tensor, labels: Tensor, *, count: int) -> Triplets:
    """Find the anchors whose farthest positive is farther than their nearest negative by most.

    No image is in two triplets, where one odd image would otherwise be in all of them. An anchor that is alone in its
    class, or without another class, makes no triplet.

    Args:
        embeddings: (N, E), of L2 norm 1.
        labels: (N,).
        count: How many are wanted; there may be fewer.

    Example:
        >>> angles = torch.tensor([0.0, 1.0, 0.1])
        >>> found = hardest_triplets(torch.stack([angles.cos(), angles.sin()], 1), torch.tensor([0, 0, 1]), count=1)
        >>> found.anchors, found.positives, found.negatives
        (tensor([0]), tensor([1]), tensor([2]))
    """
    excess, positives, negatives = _hardest_of_each(embeddings, labels)
    chosen: list[int] = []
    taken: set[int] = set()
    for anchor in excess.argsort(descending=True, stable=True).tolist():
        images = {anchor, int(positives[anchor]), int(negatives[anchor])}
        if len(chosen) == count or not excess[anchor].isfinite():
            break
        if not images & taken:
            chosen.append(anchor)
            taken |= images
    anchors = torch.tensor(chosen, dtype=torch.int64)
    positives, negatives = positives[anchors], negatives[anchors]
    distances = [(embeddings[anchors] - embeddings[others]).norm(dim=1) for others in (positives, negatives)]
    return Triplets(anchors, positives, negatives, torch.stack(distances, dim=1))


def _hardest_of_each(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each anchor by how much its farthest positive is farther than its nearest negative, and both (N,).

    The excess is -inf where one of the two is missing.
    """
    positions = torch.arange(len(labels))
    parts = []
    for anchors in torch.split(positions, max(1, CHUNK_ELEMENTS // len(labels))):
        distances = torch.cdist(embeddings[anchors], embeddings)
        same = labels[anchors, None] == labels
        is_positive = same & (anchors[:, None] != positions)
        to_positive, positives = distances.masked_fill(~is_positive, -torch.inf).max(1)
        to_negative, negatives = distances.masked_fill(same, torch.inf).min(1)
        parts.append((to_positive - to_negative, positives, negatives))
    excess, positives, negatives = (torch.cat(column) for column in zip(*parts, strict=True))
    return excess, positives, negatives
