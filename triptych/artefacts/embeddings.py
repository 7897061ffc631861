"""Embeddings of images, with their files, and nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from triptych.packages import training_packages

if TYPE_CHECKING:
    from torch import Tensor

# N images, E embedding_dim, Q queries.


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of images, in the order of the images.

    Attributes:
        vectors: (N, E) float32, of L2 norm 1: the dot product of two is their cosine similarity.
        paths: The files, (N,); None for an image without a file.
        fingerprint: Fingerprint of the model. Embeddings of different models are not comparable.

    Example:
        >>> Embeddings(np.eye(2, dtype=np.float32), (Path("a.jpg"), Path("b.jpg")), fingerprint="")
        Embeddings of 2 images, 2 dimensions
    """

    vectors: NDArray[np.float32]
    paths: tuple[Path | None, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"Embeddings of {len(self):,} images, {self.vectors.shape[1]} dimensions"


Vectors: TypeAlias = Union[Embeddings, NDArray[Any], "Tensor"]
"""Embeddings, or an array or a tensor (N, E); a single one (E,) is taken as (1, E)."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The k nearest rows of the gallery for each query, nearest first.

    Attributes:
        indices: Rows of the gallery, (Q, k) int64.
        distances: 1 - cosine similarity, (Q, k) float32, in [0, 2].
        paths: The files of these rows, (Q, k); None if the gallery has no files.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float32]
    paths: Sequence[Sequence[Path | None]]


def nearest(query: Vectors, gallery: Vectors | None = None, k: int = 10) -> Matches:
    """Find the k nearest images of a gallery for each query, by comparing all pairs.

    Args:
        query: Embeddings of the queries, (Q, E).
        gallery: Embeddings of the gallery, (N, E). None, or the query itself, compares each query with all others.
        k: Number of neighbours, at most the size of the gallery.

    Raises:
        ValueError: k is too large, or the embeddings are of different models or dimensions, or not finite.

    Example:
        >>> nearest(np.array([[1.0, 0.1]]), np.array([[0.0, 1.0], [1.0, 0.0]]), k=1).indices
        array([[1]])
    """
    with training_packages():
        import torch

        from triptych.metrics import nearest_neighbours

    if isinstance(query, Embeddings) and isinstance(gallery, Embeddings) and query.fingerprint != gallery.fingerprint:
        raise ValueError(
            f"query and gallery must be embeddings of one model, but their fingerprints are {query.fingerprint:.12} "
            f"and {gallery.fingerprint:.12}; embed both with the same model"
        )
    among_themselves = gallery is None or gallery is query
    searched = query if gallery is None else gallery
    found = nearest_neighbours(
        torch.as_tensor(_matrix(query)), None if among_themselves else torch.as_tensor(_matrix(searched)), k=k
    )
    indices = found.indices.numpy()
    files = searched.paths if isinstance(searched, Embeddings) else (None,) * int(indices.max(initial=-1) + 1)
    return Matches(
        indices=indices,
        distances=found.distances.float().numpy(),
        paths=tuple(tuple(files[row] for row in rows) for rows in indices.tolist()),
    )


def _matrix(vectors: Vectors) -> NDArray[Any]:
    if isinstance(vectors, Embeddings):
        return vectors.vectors
    array = np.asarray(vectors.detach().cpu() if hasattr(vectors, "detach") else vectors)
    return array[None] if array.ndim == 1 else array
