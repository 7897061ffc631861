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
    """Rank the gallery for each query and compute retrieval metrics; means over the queries.

    For a query with R rows of its class in the gallery, rel(i) = 1 if the i-th nearest row has its class, else 0:

    | key | for one query | source |
    |---|---|---|
    | `precision_at_1` | rel(1) | |
    | `recall_at_{k}` | 1 if any of rel(1..k) is 1, else 0; also CMC@k | Jégou et al. 2011; Gray et al. 2007 |
    | `r_precision` | Σ_{i≤R} rel(i) / R | Musgrave et al. 2020 |
    | `map_at_r` | Σ_{i≤R} rel(i) P(i) / R, with P(i) = Σ_{j≤i} rel(j) / i | Musgrave et al. 2020 |
    | `mrr` | 1 / the smallest i with rel(i) = 1 | Voorhees 1999 |

    All are in [0, 1]; higher is better. (Musgrave, Belongie, Lim: "A Metric Learning Reality Check", ECCV 2020.) They
    equal those of pytorch-metric-learning's `AccuracyCalculator` if that ranks the whole gallery and there are no ties.

    Without a gallery, the gallery of each query is all other queries ("leave one out"). With a gallery, a query that is
    also in it retrieves itself, unless `own` gives its row.

    Queries without a relevant row in the gallery are excluded from the means. If there are no other queries, every
    value is NaN.

    Ties: rows at the same distance are scored as the mean over all their orders, so that values do not depend on the
    order of rows, and a model with the same embedding for all images scores chance. A tie means that cosines, or
    squared Euclidean distances relative to the spread of the rows, agree to 12 digits in float64. Directions within
    1e-6 of each other thus tie: a model that has collapsed up to rounding in float32 scores chance too.

    Exact: every pair is compared, in float64. Memory: float64 copies of the embeddings, and a few times a chunk of
    scores, which is 64 MiB, or 64 queries if that is more. The time is a small multiple of that of the matrix product,
    and more with only two or three classes, for which half or a third of the gallery is sorted.

    Args:
        query: (Q, E), of any real type, on any device, which also computes.
        query_labels: (Q,) integers.
        gallery: (G, E), or None to leave one out.
        gallery_labels: (G,) integers, or None with the gallery.
        own: (Q,) rows of the queries in a gallery that contains them: each query's own row is then excluded.
        k: The values of k of `recall_at_k`; one above G means the whole gallery.
        distance: "cosine", under which a row of zeros is at distance 1 from everything; or "euclidean".
        chunk_size: Number of queries per chunk; None chooses it.

    Returns:
        `precision_at_1`, `recall_at_{k}` for each k, `r_precision`, `map_at_r` and `mrr`.

    Raises:
        ValueError: Embeddings are not finite matrices or have different E; labels are not one integer for each row; a
            gallery comes without labels, or labels without a gallery; or k, distance or chunk_size is invalid.

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
    """Return the values of each query, whose means are `retrieval_metrics`, for bootstraps and the worst queries.

    Arguments and errors are those of `retrieval_metrics`.

    Returns:
        (Q,) float64 for each key, on the query's device (the CPU for MPS); NaN for queries without a relevant row.
    """
    _require_depths(k)
    require_together(gallery=gallery, gallery_labels=gallery_labels)
    comparison = compare(query, gallery, distance=distance, own=own)
    relevance = Relevance(comparison, query_labels, query_labels if gallery_labels is None else gallery_labels)
    names = ["precision_at_1", *(f"recall_at_{depth}" for depth in k), "r_precision", "map_at_r", "mrr"]
    found = {name: relevance.wanted.new_full((len(query),), torch.nan, dtype=torch.float64) for name in names}
    # Queries are sorted by their number of relevant rows: the depth of a chunk's ranking is that of its largest class.
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
