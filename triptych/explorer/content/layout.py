"""Embeddings in the plane: principal axes at once, then t-SNE, computed once and kept in the cache of this user."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from triptych.data.known.locate import cache_folder
from triptych.files import replacing
from triptych.visualisation import project_tsne

# N images, E embedding_dim.

Vectors = NDArray[np.floating]

VERSION = 1
"""Version of the computation: a change invalidates all cached maps."""
SEED = 0
PERPLEXITY = 30
MANY = 500
"""Images from which on openTSNE is used, where it is installed: it is two to three times as fast as scikit-learn."""

BESIDE = 3
"""Neighbours between which `placed_map` places an embedding."""
AT_ONCE = 1024


def maps_folder() -> Path:
    """Return the user's cache folder for maps, one `.npy` each."""
    return cache_folder() / "maps"


class Projection(NamedTuple):
    """The way from an embedding to its place on the map of principal axes."""

    mean: NDArray[np.float64]
    """Of the embeddings, (E,)."""
    axes: NDArray[np.float64]
    """The two principal axes, (E, 2); zeros where there are fewer."""


def principal_projection(embeddings: Vectors) -> Projection:
    """Find the two principal axes of embeddings (N, E)."""
    vectors = torch.from_numpy(np.asarray(embeddings, np.float64))
    centred = vectors - vectors.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    leading = axes.flip(1)[:, :2]
    # An axis has no direction of its own: its largest component points upwards.
    largest = leading.abs().argmax(0)
    both = torch.zeros(len(leading), 2, dtype=torch.float64)
    both[:, : leading.shape[1]] = leading * torch.sign(leading[largest, torch.arange(leading.shape[1])])
    return Projection(vectors.mean(0).numpy(), both.numpy())


def principal_axes(embeddings: Vectors) -> NDArray[np.float32]:
    """Project embeddings (N, E) on their two principal axes: (N, 2); zeros where there are fewer axes.

    Example:
        >>> principal_axes(np.array([[0.0, 3.0], [0.0, 1.0]])).tolist()
        [[1.0, 0.0], [-1.0, 0.0]]
    """
    mean, axes = principal_projection(embeddings)
    places: NDArray[np.float32] = ((np.asarray(embeddings, np.float64) - mean) @ axes).astype(np.float32)
    return places


def neighbour_map(embeddings: Vectors, *, folder: Path | None = None) -> NDArray[np.float32]:
    """Lay out embeddings so that near neighbours stay near, by t-SNE: (N, 2).

    The map is seeded, and kept in a file that is named after the digest of the embeddings: the second time it is read.

    Args:
        embeddings: Of L2 norm 1, (N, E), as the page has them.
        folder: Where maps are kept; None: the cache of this user.
    """
    file = (folder or maps_folder()) / f"{_key(embeddings)}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        known = known_map(embeddings, folder=folder)
        if known is None:
            known = _computed(np.asarray(embeddings, np.float32))
            _save(file, known)
    return known


def known_map(embeddings: Vectors, *, folder: Path | None = None) -> NDArray[np.float32] | None:
    """Return a map from the cache; None where there is none, or a damaged one."""
    file = (folder or maps_folder()) / f"{_key(embeddings)}.npy"
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (len(embeddings), 2) and found.dtype == np.float32 else None


def keep_map(embeddings: Vectors, points: NDArray[np.float32], *, folder: Path | None = None) -> None:
    """Keep a map (N, 2) that was computed elsewhere, unless there is one already."""
    file = (folder or maps_folder()) / f"{_key(embeddings)}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if known_map(embeddings, folder=folder) is None:
            _save(file, points.astype(np.float32))


def placed_map(embeddings: Vectors, points: NDArray[np.floating], rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """Extend a map of some embeddings to all of them: (N, 2).

    Each of the others goes to its three nearest neighbours on the map, to the mean of their places, weighted by the
    inverse square of the distance between embeddings.

    Args:
        embeddings: (N, E).
        points: The places of some, (M, 2).
        rows: Which of the embeddings these are, (M,).

    Example:
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> placed_map(embeddings, np.array([[5.0, 5.0], [9.0, 9.0]]), np.array([0, 1]))[2].tolist()
        [5.0, 5.0]
    """
    vectors, places = (
        torch.from_numpy(np.asarray(embeddings, np.float32)),
        torch.from_numpy(np.asarray(points)).double(),
    )
    anchors = vectors[torch.from_numpy(rows)]
    parts = []
    for part in torch.split(vectors, AT_ONCE):
        nearest = torch.cdist(part, anchors).topk(min(BESIDE, len(anchors)), largest=False)
        weights = nearest.values.double().clamp(min=1e-6) ** -2
        weights = weights / weights.sum(1, keepdim=True)
        parts.append((weights[..., None] * places[nearest.indices]).sum(1))
    placed = torch.cat(parts)
    placed[torch.from_numpy(rows)] = places
    return placed.float().numpy()


def _save(file: Path, points: NDArray[np.float32]) -> None:
    with replacing(file) as temporary, temporary.open("wb") as written:
        np.save(written, points, allow_pickle=False)


def _computed(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(embeddings) < MANY or find_spec("openTSNE") is None:
        return project_tsne(embeddings, seed=SEED)
    from openTSNE import TSNE

    start = principal_axes(embeddings)
    noise = np.random.default_rng(SEED).normal(size=start.shape)
    # As spread out as openTSNE's own start; identical embeddings start a little apart.
    spread = 1e-4 * start / max(float(start[:, 0].std()), 1e-6) + 1e-6 * noise
    layout = TSNE(perplexity=PERPLEXITY, initialization=spread, random_state=SEED, n_jobs=-1).fit(embeddings)
    return np.asarray(layout, dtype=np.float32)


def _key(embeddings: Vectors) -> str:
    """Return a hash of the embeddings in the precision of the page, because threads change the last digits."""
    digest = hashlib.blake2b(np.ascontiguousarray(embeddings, np.float16).tobytes(), digest_size=16)
    digest.update(f"{VERSION} {np.shape(embeddings)} {find_spec('openTSNE') is not None}".encode())
    return digest.hexdigest()
