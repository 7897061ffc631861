"""Exact nearest neighbours with faiss over vectors that may be memory-mapped, a part at a time.

Letters: N rows, Q queries, E embedding dimension.
"""

import numpy as np
from numpy.typing import NDArray

from triptych.search.rows import Floats

PART = 65_536
"""Number of rows that are copied at a time if only some rows are searched."""

Rows = NDArray[np.int64]


def nearest(queries: Floats, vectors: Floats, k: int, among: Rows | None = None) -> tuple[Floats, Rows]:
    """Return the scores and the numbers (Q, at most k) of the rows with the largest dot products, largest first.

    Args:
        queries: (Q, E).
        vectors: (N, E).
        k: Number of rows.
        among: The rows to search, in ascending order; None is all.
    """
    if among is None:
        return _all(queries, vectors, min(k, len(vectors)))
    scores = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for first in range(0, len(among), PART):
        part = among[first : first + PART]
        some, places = _all(queries, vectors[part], min(k, len(part)))
        scores, rows = best(np.concatenate([scores, some], 1), np.concatenate([rows, part[places]], 1), k)
    return scores, rows


def best(scores: Floats, rows: Rows, k: int) -> tuple[Floats, Rows]:
    """Keep the k largest scores of each row of (Q, C), and their row numbers, largest first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _all(queries: Floats, vectors: Floats, k: int) -> tuple[Floats, Rows]:
    import faiss

    scores, rows = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows
