"""Compact codes of a large segment's vectors, which select candidates for an exact comparison.

Product quantisation with 4 bits for every two dimensions (four in wide embeddings), scanned by SIMD: faiss's
`IndexPQFastScan`, after André, Kermarrec & Le Scouarnec, "Cache locality is not enough" (VLDB 2015). All codes of a
segment are scanned: half a millisecond for a million rows of 64 dimensions, a second to make them, and no dependence on
how the data cluster; inverted lists probed .4 of all rows, and graphs built for minutes, for the same recall.

Letters: N rows, Q queries, E embedding dimension.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from triptych.errors import SearchError
from triptych.search.embedded.nearest import nearest
from triptych.search.rows import Floats

if TYPE_CHECKING:
    from triptych.search.embedded.manifest import StoredCodes

WANTED_RECALL = 0.99
DEPTHS = (100, 200, 400, 800, 1600, 3200)
SAMPLE = 256
"""Number of rows of the segment that are searched to choose the depth."""
TRAINING_ROWS = 65_536
NARROW = 128
"""Maximum dimension of embeddings with one code per two dimensions."""


class Codes:
    """The codes of one segment.

    Attributes:
        depth: Number of candidates to compare exactly for the 10 nearest rows.
        recall: Share of the 10 nearest rows among these, on a sample.
    """

    def __init__(self, index: Any, *, depth: int, recall: float) -> None:  # noqa: ANN401 - faiss has no types
        self._index = index
        self.depth = depth
        self.recall = recall

    @classmethod
    def make(cls, vectors: Floats) -> Self | None:
        """Make codes for vectors (N, E), and choose the depth that finds .99 of the 10 nearest; None if none does."""
        dimension = vectors.shape[1]
        for width in (2,) if dimension <= NARROW else (4, 2):
            codes = cls._of_width(vectors, width)
            depth, recall = _choose_depth(codes, vectors)
            if recall >= WANTED_RECALL and (depth <= DEPTHS[2] or width == 2):
                # One step deeper than the sample requires, because queries differ from the rows.
                deeper = DEPTHS[min(DEPTHS.index(depth) + 1, len(DEPTHS) - 1)]
                return cls(codes._index, depth=deeper, recall=recall)
        return None

    @classmethod
    def _of_width(cls, vectors: Floats, width: int) -> Self:
        import faiss

        dimension = _padded(vectors.shape[1], width)
        index = faiss.IndexPQFastScan(dimension, dimension // width, 4, faiss.METRIC_INNER_PRODUCT)
        step = max(1, len(vectors) // TRAINING_ROWS)
        index.train(_pad(np.ascontiguousarray(vectors[::step]), dimension))
        for first in range(0, len(vectors), TRAINING_ROWS):
            index.add(_pad(vectors[first : first + TRAINING_ROWS], dimension))
        return cls(index, depth=DEPTHS[0], recall=0.0)

    def depth_for(self, k: int) -> int:
        """Return the number of candidates to compare exactly for the k nearest rows."""
        return max(self.depth, -(-k * self.depth // 10))

    def candidates(self, queries: Floats, count: int) -> NDArray[np.int64]:
        """Return for queries (Q, E) the rows (Q, count) with the best codes."""
        found: NDArray[np.int64] = self._index.search(_pad(queries, self._index.d), count)[1]
        return found

    def write(self, path: Path) -> None:
        """Write the codes into a file."""
        import faiss

        faiss.write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path, stored: "StoredCodes", *, rows: int, dimension: int) -> Self:
        """Read codes whose digest was checked.

        Raises:
            SearchError: They do not match the segment.
        """
        import faiss

        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise SearchError(f"{path}: expected the codes of a segment: {str(error).splitlines()[0]}.") from None
        fits = isinstance(index, faiss.IndexPQFastScan) and index.ntotal == rows
        if not fits or index.d not in (_padded(dimension, 2), _padded(dimension, 4)):
            raise SearchError(f"{path}: expected the codes of {rows:,} vectors of {dimension} dimensions, got others.")
        return cls(index, depth=stored.depth, recall=stored.recall)


def _choose_depth(codes: Codes, vectors: Floats) -> tuple[int, float]:
    """Return the smallest depth with sufficient recall@10 on a sample, and that recall; else the largest depth."""
    sample = np.linspace(0, len(vectors) - 1, min(SAMPLE, len(vectors)), dtype=np.int64)
    queries = np.ascontiguousarray(vectors[sample])
    _, wanted = nearest(queries, vectors, 11)
    deepest = min(DEPTHS[-1], len(vectors))
    candidates = codes.candidates(queries, deepest)
    recall, depth = 0.0, DEPTHS[0]
    for depth in DEPTHS:
        hits = [
            len(np.intersect1d(some[some != own], found[:depth])) / max(1, (some != own).sum())
            for own, some, found in zip(sample, wanted, candidates, strict=True)
        ]
        recall = float(np.mean(hits))
        if recall >= WANTED_RECALL:
            break
    return depth, recall


def _padded(dimension: int, width: int) -> int:
    return -(-dimension // width) * width


def _pad(vectors: Floats, dimension: int) -> Floats:
    """Add columns of zeros up to a dimension."""
    missing = dimension - vectors.shape[1]
    return np.pad(vectors, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(vectors)
