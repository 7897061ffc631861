"""Exact retrieval metrics of embeddings: queries against a gallery.

Letters: Q queries, G rows of the gallery, B queries of a chunk, E embedding dimension.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.metrics.inputs import require_together, require_whole_number
from triptych.metrics.ranking import Relevance, tie_groups
from triptych.metrics.similarity import Distance, compare
from triptych.metrics.ties import (
    TieGroups,
    expected_hit,
    expected_precision_at_1,
    expected_precision_at_r,
    expected_reciprocal_rank,
)


def retrieval_metrics(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    own: Tensor | None = None,
    k: Sequence[int] = (1, 5, 10),
    distance: Distance = "cosine",
    chunk_size: int | None = None,
) -> dict[str, float]:
    """Rank the gallery for each query and measure how well images of its class come first; means over the queries.

    For a query with R rows of its class in the gallery, with rel(i) = 1 where the i-th nearest row is one, else 0:

    | key | for one query | source |
    |---|---|---|
    | `precision_at_1` | rel(1) | |
    | `recall_at_{k}` | 1 where one of rel(1..k) is, else 0; also CMC@k | Jégou et al. 2011; Gray et al. 2007 |
    | `r_precision` | Σ_{i≤R} rel(i) / R | Musgrave et al. 2020 |
    | `map_at_r` | Σ_{i≤R} rel(i) P(i) / R, with P(i) = Σ_{j≤i} rel(j) / i | Musgrave et al. 2020 |
    | `mrr` | 1 / the smallest i with rel(i) = 1 | Voorhees 1999 |

    All lie in [0, 1]; more is better. (Musgrave, Belongie, Lim: "A Metric Learning Reality Check", ECCV 2020.) They are
    those of pytorch-metric-learning's `AccuracyCalculator`, where that ranks the whole gallery and nothing ties.

    Without a gallery, each query is ranked against all others ("leave one out"). With one, a query that is also in it
    finds itself, unless `own` names its row.

    Queries of which the gallery holds no other row of the class have nothing to find and are left out of the means.
    If that is so for all of them, every value is NaN.

    Ties: rows that are equally near are scored as the mean over all their orders, so that no order of the rows changes
    a value, and a model that gives all images one embedding scores chance. Equally near means that cosines, or squared
    Euclidean distances in units of the cloud, agree to 12 digits in float64. Directions within 1e-6 of each other thus
    count as one: a model that has collapsed but for the rounding of float32 scores chance too.

    Exact: every pair is compared, in float64. Memory: float64 copies of the embeddings, and a few times a chunk of
    scores, which is 64 MiB, or 64 queries where these are more. The time is a small multiple of that of the matrix
    product, and more where there are but two or three classes, of which half or a third of the gallery is sorted.

    Args:
        query: (Q, E), of any real type, on any device, where the work is done.
        query_labels: (Q,) whole numbers.
        gallery: (G, E), or None to leave one out.
        gallery_labels: (G,) whole numbers, or None with the gallery.
        own: (Q,) rows of a gallery that holds the queries too: each is then ranked against all rows but its own.
        k: The depths of `recall_at_k`; one beyond the gallery counts the whole gallery.
        distance: "cosine", under which a row of zeros is at distance 1 from everything; or "euclidean".
        chunk_size: Queries that are compared at a time; None chooses.

    Returns:
        `precision_at_1`, `recall_at_{k}` for each k, `r_precision`, `map_at_r` and `mrr`.

    Raises:
        ValueError: Embeddings that are no finite matrices, or do not fit together; labels that are not one whole number
            for each row; a gallery without labels, or labels without a gallery; k, distance or chunk_size that are
            none of the above.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.9, 0.5]])
        >>> retrieval_metrics(embeddings, torch.tensor([0, 0, 1, 1]), k=(1, 2))
        {'precision_at_1': 0.75, 'recall_at_1': 0.75, 'recall_at_2': 0.75, 'r_precision': 0.75, 'map_at_r': 0.75,
         'mrr': 0.83...}
    """
    scores = retrieval_scores(
        query, query_labels, gallery, gallery_labels, own=own, k=k, distance=distance, chunk_size=chunk_size
    )
    return {name: values.nanmean().item() for name, values in scores.items()}


def retrieval_scores(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    own: Tensor | None = None,
    k: Sequence[int] = (1, 5, 10),
    distance: Distance = "cosine",
    chunk_size: int | None = None,
) -> dict[str, Tensor]:
    """The value of each query of which `retrieval_metrics` is the mean, for bootstraps and for the worst queries.

    Arguments and errors are those of `retrieval_metrics`.

    Returns:
        By the same names, (Q,) float64 on the query's device (the CPU for MPS); NaN for what has nothing to find.
    """
    _require_depths(k)
    require_together(gallery=gallery, gallery_labels=gallery_labels)
    comparison = compare(query, gallery, distance=distance, own=own)
    relevance = Relevance(comparison, query_labels, query_labels if gallery_labels is None else gallery_labels)
    names = ["precision_at_1", *(f"recall_at_{depth}" for depth in k), "r_precision", "map_at_r", "mrr"]
    found = {name: relevance.wanted.new_full((len(query),), torch.nan, dtype=torch.float64) for name in names}
    # Queries with as much to find come together: a chunk is ranked as deep as its largest class.
    wanted, order = relevance.wanted.sort(stable=True)
    for chunk, scores in comparison.chunks(order[wanted > 0], chunk_size):
        firsts = []
        for rows, groups, first in tie_groups(relevance, chunk, scores):
            at_r = expected_precision_at_r(groups, relevance.wanted[rows].double())
            found["r_precision"][rows], found["map_at_r"][rows] = at_r
            firsts.append(first)
        nearest = TieGroups(*(torch.cat(field) for field in zip(*firsts, strict=True)))
        found["precision_at_1"][chunk] = expected_precision_at_1(nearest)
        for depth in k:
            found[f"recall_at_{depth}"][chunk] = expected_hit(nearest, depth)
        found["mrr"][chunk] = expected_reciprocal_rank(nearest)
    return found


def _require_depths(k: Sequence[int]) -> None:
    if not isinstance(k, Sequence) or isinstance(k, str):
        raise ValueError(f"k must be a sequence of whole numbers, but it is {k!r}; give a single one as (5,)")
    for depth in k:
        require_whole_number("every k", depth, least=1)
