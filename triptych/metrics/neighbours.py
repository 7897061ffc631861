"""Exact nearest neighbours in a gallery, in a deterministic order, for figures, audits and kNN.

Letters: Q queries, G rows of the gallery, B queries of a chunk, E embedding dimension.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.metrics.inputs import require_labels, require_matrix, require_together, require_whole_number
from triptych.metrics.similarity import Comparison, Distance, compare, largest


class Neighbours(NamedTuple):
    """The k nearest rows of each query, nearest first."""

    distances: Tensor
    """(Q, k), float32 at least: 1 - cosine, in [0, 2], or the Euclidean distance, not squared."""
    indices: Tensor
    """(Q, k) int64, rows of the gallery."""


def nearest_neighbours(
    query: Tensor,
    gallery: Tensor | None = None,
    *,
    k: int,
    distance: Distance = "cosine",
    chunk_size: int | None = None,
) -> Neighbours:
    """Find the k nearest rows of the gallery for each query, by comparing all pairs in float64.

    Rows at the same distance, whose scores agree to 12 digits, are in the order of the gallery, lowest index first. Two
    rows that differ only by rounding are at distance 0.

    Args:
        query: (Q, E), of any real type, on any device, which also computes.
        gallery: (G, E); None compares each query with all other queries ("leave one out").
        k: Number of neighbours, at most the number of rows to compare with.
        distance: "cosine", under which a row of zeros is at distance 1 from everything; or "euclidean".
        chunk_size: Number of queries per chunk; None chooses it.

    Raises:
        ValueError: Embeddings are not finite matrices or have different E; or k, distance or chunk_size is invalid.

    Example:
        >>> points = torch.tensor([[0.0], [2.0], [3.0], [-2.0]])
        >>> nearest_neighbours(points, k=2, distance="euclidean")
        Neighbours(distances=tensor([[2., 2.],
            [1., 2.],
            [1., 3.],
            [2., 4.]]), indices=tensor([[1, 3],
            [2, 0],
            [1, 0],
            [0, 1]]))
    """
    require_whole_number("k", k, least=1)
    comparison = compare(query, gallery, distance=distance)
    if k > comparison.candidates:
        raise ValueError(
            f"k must be at most {comparison.candidates}, the rows that there are to compare with, but it is {k}; use "
            "a smaller k, or give a larger gallery"
        )
    device = comparison.query.device
    dtype = torch.promote_types(query.dtype, torch.float32)
    distances = torch.empty(len(query), k, dtype=dtype, device=device)
    indices = torch.empty(len(query), k, dtype=torch.int64, device=device)
    for rows, scores in comparison.chunks(torch.arange(len(query), device=device), chunk_size):
        values, columns = _ordered(comparison, rows, scores, k)
        distances[rows], indices[rows] = comparison.distances(rows, values).to(dtype), columns
    return Neighbours(distances, indices)


def _ordered(comparison: Comparison, rows: Tensor, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each row of (B, G) scores and their columns; ties by ascending column."""
    # One more than k shows whether ties of the last one continue.
    values, columns = largest(scores, min(k + 1, comparison.candidates))
    apart = values[:, :-1] - values[:, 1:] > comparison.tie_width(rows, values[:, :-1])
    group = F.pad(apart.cumsum(dim=1), (1, 0))
    columns, order = columns.sort(dim=1)
    columns = columns.gather(1, group.gather(1, order).argsort(dim=1, stable=True))
    if values.shape[1] > k:
        cut = ~apart[:, k - 1]
        if cut.any():
            nearer = (group[cut] < group[cut, k - 1 : k]).sum(dim=1, keepdim=True)
            tied = _tied_columns(comparison, rows[cut], scores[cut], values[cut, k - 1 : k], k)
            place = torch.arange(k, device=rows.device)
            lowest = tied.gather(1, (place - nearer).clamp(min=0))
            columns[cut, :k] = torch.where(place < nearer, columns[cut, :k], lowest)
    return values[:, :k], columns[:, :k]


def _tied_columns(comparison: Comparison, rows: Tensor, scores: Tensor, values: Tensor, count: int) -> Tensor:
    """Return the first `count` columns of (B, G) scores that tie with the values (B, 1), padded with G."""
    tied = (scores - values).abs() <= comparison.tie_width(rows, values)
    columns = torch.arange(scores.shape[1], device=scores.device)
    return torch.where(tied, columns, scores.shape[1]).topk(count, dim=1, largest=False).values


def knn_accuracy(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    k: int,
    distance: Distance = "cosine",
) -> float:
    """Return the accuracy of k-nearest-neighbour classification of the queries (Cover & Hart 1967).

    Every neighbour has one vote; if classes tie, that of the nearest neighbour wins. Among rows at the same distance,
    the first in the gallery counts as the nearest. Without a gallery, each query is classified by the other queries;
    with a single query the accuracy is NaN.

    Args:
        query: (Q, E).
        query_labels: (Q,) integers.
        gallery: (G, E), or None to leave one out.
        gallery_labels: (G,) integers, or None with the gallery.
        k: Neighbours that vote; all rows do where there are fewer.
        distance: "cosine" or "euclidean".

    Raises:
        ValueError: As in `nearest_neighbours`; labels are not one integer for each row; or a gallery comes without
            labels, or labels without a gallery.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn_accuracy(embeddings, torch.tensor([0, 0, 1]), k=1)
        0.6666666666666666
    """
    require_together(gallery=gallery, gallery_labels=gallery_labels)
    require_matrix("query", query)
    require_labels("query_labels", query_labels, count=len(query))
    if gallery is None and len(query) == 1:
        require_whole_number("k", k, least=1)
        return math.nan
    labels = query_labels if gallery_labels is None else gallery_labels
    classes = knn_classes(query, labels, gallery, k=k, distance=distance)
    return int((classes == query_labels.to(classes.device)).sum()) / len(query)


def knn_classes(
    query: Tensor, labels: Tensor, gallery: Tensor | None = None, *, k: int, distance: Distance = "cosine"
) -> Tensor:
    """Classify each query by a vote of its k nearest rows of the gallery, as in `knn_accuracy`.

    Args:
        query: (Q, E).
        labels: Labels of the gallery, (G,) integers; without a gallery, of the queries.
        gallery: (G, E), or None to leave one out, which needs at least two queries.
        k: Neighbours that vote; all rows do where there are fewer.
        distance: "cosine" or "euclidean".

    Returns:
        The classes, (Q,).

    Raises:
        ValueError: As in `nearest_neighbours`; or labels are not one integer for each row.

    Example:
        >>> knn_classes(torch.eye(2), torch.tensor([4, 7]), torch.tensor([[1.0, 0.1], [0.1, 1.0]]), k=1)
        tensor([4, 7])
    """
    require_whole_number("k", k, least=1)
    rows = query if gallery is None else gallery
    require_matrix("query" if gallery is None else "gallery", rows)
    require_labels("query_labels" if gallery is None else "gallery_labels", labels, count=len(rows))
    candidates = len(rows) - (gallery is None)
    found = nearest_neighbours(query, gallery, k=max(1, min(k, candidates)), distance=distance).indices
    classes = labels.to(found.device)[found]  # (Q, k), the nearest first
    votes = torch.stack([(classes == one[:, None]).sum(dim=1) for one in classes.unbind(dim=1)], dim=1)
    return classes.gather(1, votes.argmax(dim=1, keepdim=True))[:, 0]
