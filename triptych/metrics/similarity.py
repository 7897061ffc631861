"""Similarities of queries and a gallery in chunks of queries, for retrieval and nearest neighbours.

Letters: Q queries, G rows of the gallery, B queries of a chunk, E embedding dimension.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.metrics.inputs import in_double, require_matrix, require_whole_number

Distance = Literal["cosine", "euclidean"]

TIE = 1e-12
"""Scores whose relative difference is below this tie: above the rounding of float64, below that of float32."""

CHUNK_ELEMENTS = 2**23
"""Number of scores in a chunk, 64 MiB, unless that is fewer than `LEAST_CHUNK` queries."""

LEAST_CHUNK = 64
"""Minimum number of queries in a chunk: with fewer, reading the gallery dominates the time of the matrix product."""


@dataclass(frozen=True)
class Comparison:
    """Queries and a gallery, transformed so that their matrix product gives scores: the larger, the nearer.

    The score of a pair is q·g of unit vectors (cosine), or q·g - |g|²/2, which decreases as |q - g|² increases, of rows
    centred on the gallery's mean (Euclidean). All is float64: values that differ in float32 stay different, values that
    are equal in exact arithmetic differ only by rounding, which `tie_width` bounds, and settings such as TF32 have no
    effect.
    """

    query: Tensor
    """(Q, E) or (Q, E + 1), float64."""
    gallery: Tensor
    """(G, E) or (G, E + 1), float64."""
    touching: Tensor
    """(Q,): the score of a row that equals the query, 1 or |q|²/2."""
    distance: Distance
    unit: float
    """The length in the original space of a distance of 1 here."""
    own: Tensor | None
    """(Q,): the row of the gallery that is the query itself, which is excluded; None if the gallery has no queries."""

    @property
    def leaves_one_out(self) -> bool:
        """Whether every query is in the gallery and is not compared with itself."""
        return self.own is not None

    @property
    def candidates(self) -> int:
        """Number of rows of the gallery that a query is compared with."""
        return len(self.gallery) - self.leaves_one_out

    def chunks(self, queries: Tensor, chunk_size: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield indices of queries (B,) and their scores (B, G), which the next chunk overwrites.

        A query's score with itself, when leaving one out, is -inf.
        """
        if chunk_size is not None:
            require_whole_number("chunk_size", chunk_size, least=1)
        chunk = min(len(queries), chunk_size or max(LEAST_CHUNK, CHUNK_ELEMENTS // len(self.gallery)))
        # One buffer for all chunks: allocating new memory costs as much as the product.
        buffer = self.gallery.new_empty(chunk, len(self.gallery))
        for rows in torch.split(queries, max(1, chunk)) if chunk else ():
            scores = torch.mm(self.query[rows], self.gallery.T, out=buffer[: len(rows)])
            if self.own is not None:
                scores.scatter_(1, self.own[rows, None], -torch.inf)
            yield rows, scores

    def tie_width(self, rows: Tensor, scores: Tensor) -> Tensor:
        """Return the tolerance within which a score of these queries ties with each of the (B, k) scores."""
        return TIE * (self.touching[rows, None] + scores.abs())

    def distances(self, rows: Tensor, scores: Tensor) -> Tensor:
        """Convert (B, k) scores to distances; 0 if the two points differ only by rounding."""
        gap = self.touching[rows, None] - scores
        gap = gap.masked_fill(gap <= self.tie_width(rows, scores), 0.0)
        return gap if self.distance == "cosine" else self.unit * (2 * gap).sqrt()


def compare(query: Tensor, gallery: Tensor | None, *, distance: Distance, own: Tensor | None = None) -> Comparison:
    """Prepare queries (Q, E) and a gallery (G, E); without a gallery, every query is compared with all others.

    Args:
        query: (Q, E).
        gallery: (G, E), or None.
        distance: "cosine" or "euclidean".
        own: (Q,) rows of the queries in a gallery that contains them: each query's own row is excluded.

    Raises:
        ValueError: The matrices are invalid, not finite, or differ in E; or the distance is unknown.
    """
    if distance not in get_args(Distance):
        raise ValueError(f"distance must be one of {', '.join(get_args(Distance))}, but it is {distance!r}; name one")
    require_matrix("query", query)
    if gallery is not None:
        require_matrix("gallery", gallery)
        if gallery.shape[1] != query.shape[1]:
            raise ValueError(
                f"query and gallery must have as many columns, but they have {query.shape[1]} and {gallery.shape[1]}; "
                "embed both with the same model"
            )
        if own is not None and own.shape != query.shape[:1]:
            raise ValueError(
                f"own must be one row of the gallery for each of the {len(query)} queries, but its shape is "
                f"{tuple(own.shape)}; give the row that each query is"
            )
    own = torch.arange(len(query)) if gallery is None else own
    prepare = _on_the_sphere if distance == "cosine" else _around_the_centre
    found = prepare(query, gallery)
    return replace(found, own=None if own is None else own.to(found.query.device))


def scale_to_unit_length(rows: Tensor) -> Tensor:
    """Scale the rows of a float64 matrix to length 1, in place, and return it; a row of zeros does not change."""
    for order in (torch.inf, 2):  # the largest entry first, so that squares neither overflow nor underflow
        norms = torch.linalg.vector_norm(rows, order, dim=1, keepdim=True)
        rows.div_(norms.clamp(min=torch.finfo(rows.dtype).tiny))
    return rows


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest of each row of (B, G) scores, descending, and their columns; ties in any order."""
    if not scores.is_cpu:
        found = scores.topk(count, dim=1)
        return found.values, found.indices
    # NumPy selects and sorts with SIMD instructions, in a third of the time of torch.topk.
    values = torch.empty(len(scores), count, dtype=scores.dtype)
    columns = torch.empty(len(scores), count, dtype=torch.int64)
    source, to_values, to_columns = scores.numpy(), values.numpy(), columns.numpy()

    def fill(rows: range) -> None:
        for row in rows:
            chosen = np.argpartition(source[row], -count)[-count:]
            chosen = chosen[np.argsort(source[row, chosen])[::-1]]
            to_values[row], to_columns[row] = source[row, chosen], chosen

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, [range(first, len(scores), threads) for first in range(threads)]))
    return values, columns


def count_from(scores: Tensor, rows: Tensor, floor: Tensor) -> Tensor:
    """Count the (B, G) scores in each of the rows (n,) that are at least that row's floor (n,)."""
    if not scores.is_cpu:
        return (scores[rows] >= floor[:, None]).sum(dim=1)
    source = scores.numpy()  # NumPy counts in a quarter of the time, and starts no threads
    counts = [np.count_nonzero(source[row] >= least) for row, least in zip(rows.tolist(), floor.tolist(), strict=True)]
    return torch.tensor(counts)


def _on_the_sphere(query: Tensor, gallery: Tensor | None) -> Comparison:
    """Scale all rows to unit length; a row of zeros has cosine 0 with every row."""
    ours = scale_to_unit_length(in_double(query))
    theirs = ours if gallery is None else scale_to_unit_length(in_double(gallery).to(ours.device))
    return Comparison(ours, theirs, ours.new_ones(len(ours)), "cosine", 1.0, own=None)


def _around_the_centre(query: Tensor, gallery: Tensor | None) -> Comparison:
    """Centre and scale all rows, and append a column: 1 for a query, -|g|²/2 for a row of the gallery."""
    ours = in_double(F.pad(query, (0, 1)))
    theirs = in_double(F.pad(query if gallery is None else gallery, (0, 1))).to(ours.device)
    unit = max(torch.linalg.vector_norm(rows, torch.inf).item() for rows in (ours, theirs)) or 1.0
    centre = theirs.div_(unit).mean(dim=0)
    theirs -= centre
    ours.div_(unit).sub_(centre)
    halves = [torch.linalg.vector_norm(rows, dim=1).square() / 2 for rows in (ours, theirs)]
    ours[:, -1], theirs[:, -1] = 1, -halves[1]
    return Comparison(ours, theirs, halves[0], "euclidean", unit, own=None)
