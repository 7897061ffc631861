"""A map of all embeddings of a job, `x` and `y`: their two principal components, in constant memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# E embedding_dim.

AT_ONCE = 10_000
"""Number of rows in memory."""


class Axes(NamedTuple):
    """The first two principal axes of all embeddings, and their mean."""

    centre: NDArray[np.float64]
    """(E,)"""
    directions: NDArray[np.float64]
    """(E, 2), of L2 norm 1, the one of larger variance first."""

    def mapped(self, vectors: NDArray[np.float64]) -> NDArray[np.float32]:
        """Map embeddings (N, E) to points (N, 2)."""
        points: NDArray[np.float32] = ((vectors - self.centre) @ self.directions).astype(np.float32)
        return points


def principal_axes(parts: Sequence[Path], dimension: int) -> Axes:
    """Compute the axes from all rows, read once; the same files give the same axes.

    The sign of an axis is chosen so that its largest component is positive.
    """
    count, total = 0, np.zeros(dimension)
    products = np.zeros((dimension, dimension))
    for part in parts:
        for vectors in _vectors(part, dimension):
            count += len(vectors)
            total += vectors.sum(0)
            products += vectors.T @ vectors
    centre = total / max(count, 1)
    _, directions = np.linalg.eigh(products / max(count, 1) - np.outer(centre, centre))
    chosen = directions[:, ::-1][:, :2]
    chosen = np.pad(chosen, ((0, 0), (0, 2 - chosen.shape[1])))
    largest = chosen[np.abs(chosen).argmax(0), np.arange(2)]
    return Axes(centre, chosen * np.where(largest < 0, -1, 1))


def with_points(table: Any, axes: Axes) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Fill in the columns x and y of a table of embeddings."""
    import pyarrow as pa

    points = axes.mapped(_array(table["embedding"], len(axes.centre)))
    for number, name in enumerate(("x", "y")):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(points[:, number], pa.float32()))
    return table


def _vectors(part: Path, dimension: int) -> Iterator[NDArray[np.float64]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(part) as file:
        for batch in file.iter_batches(AT_ONCE, columns=["embedding"]):
            yield _array(batch["embedding"], dimension)


def _array(column: Any, dimension: int) -> NDArray[np.float64]:  # noqa: ANN401 - pyarrow has no types
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    parts = [
        chunk.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, dimension) for chunk in chunks
    ]
    return np.concatenate(parts) if parts else np.zeros((0, dimension))
