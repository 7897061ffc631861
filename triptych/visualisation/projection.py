"""Embeddings laid out in the plane by t-SNE, for the map that `embeddings.py` draws."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_PERPLEXITY = 30.0


def project_tsne(embeddings: Tensor | NDArray[np.floating], *, seed: int) -> NDArray[np.float32]:
    """Lay out embeddings so that near neighbours stay near (t-SNE, van der Maaten and Hinton, JMLR 2008).

    Near is meant by angle: rows are scaled to unit length, where the squared Euclidean distance is twice the cosine
    distance. The layout starts from the two principal axes, which keeps more of the large-scale structure than a
    random start does (Kobak and Berens, Nature Communications 2019). The perplexity is 30, or a third of the number of
    neighbours where that is less.

    Args:
        embeddings: Finite vectors (N, E), N and E at least 1.
        seed: The same seed gives the same map on the same machine.

    Returns:
        Points (N, 2); only their relative distances mean anything.

    Raises:
        ValueError: If the embeddings are no such matrix, or not finite.

    Example:
        >>> project_tsne(torch.eye(5), seed=0).shape
        (5, 2)
    """
    from sklearn.manifold import TSNE

    vectors = torch.as_tensor(embeddings).detach().cpu().double()
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(
            f"embeddings must be a matrix (N, E) with N and E at least 1, but the shape is {tuple(vectors.shape)}; "
            "give one row per image"
        )
    if not vectors.isfinite().all():
        raise ValueError(
            f"embeddings must be finite, but {int((~vectors.isfinite()).any(dim=1).sum())} of {len(vectors)} rows are "
            "not; look for what makes the model overflow"
        )
    if len(vectors) == 1:
        return np.zeros((1, 2), dtype=np.float32)
    unit = F.normalize(vectors).numpy()
    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init=_start(unit, seed=seed), random_state=seed)
    return np.asarray(tsne.fit_transform(unit.astype(np.float32)), dtype=np.float32)


def _start(vectors: NDArray[np.float64], *, seed: int) -> NDArray[np.float32]:
    """Give the first layout: the two principal axes at a spread of 1e-4, and noise of a hundredth of that.

    scikit-learn's own `init="pca"` divides by the spread, and so crashes the process on embeddings that have all
    collapsed into one point, which is when a picture is needed most.
    """
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    principal = np.zeros((len(vectors), 2))
    principal[:, : len(axes[:2])] = centred @ axes[:2].T
    noise = np.random.default_rng(seed).normal(size=principal.shape)
    start = 1e-4 * principal / max(principal[:, 0].std(), 1e-6) + 1e-6 * noise
    return np.asarray(start, dtype=np.float32)
