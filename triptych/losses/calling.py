"""The calling convention of pytorch-metric-learning: shapes of embeddings, labels and given triplets."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_embeddings(
    embeddings: Tensor,
    labels: Tensor | None,
    ref_emb: Tensor | None,
    ref_labels: Tensor | None,
    *,
    has_triplets: bool,
) -> None:
    """Raise ValueError unless embeddings (B, E), labels (B,) and reference embeddings (R, E) are compatible."""
    if labels is None and not has_triplets:
        raise ValueError("labels or indices_tuple must be given, but both are None; give one label for each embedding")
    _check_pair("embeddings", embeddings, "labels", labels)
    if ref_emb is None:
        if ref_labels is not None:
            raise ValueError("ref_labels are the labels of ref_emb, but ref_emb is None; give both")
        return
    _check_pair("ref_emb", ref_emb, "ref_labels", ref_labels)
    if ref_labels is None and not has_triplets:
        raise ValueError("ref_emb must come with ref_labels or indices_tuple, but both are None; give ref_labels")
    if ref_emb.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"embeddings and ref_emb must have one width E, but they have {embeddings.shape[1]} and "
            f"{ref_emb.shape[1]}; embed both with the same model"
        )


def triplets_of(indices_tuple: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return anchors, positives and negatives, (T,) int64 each, of given triplets or pairs.

    With pairs, every positive pair is combined with every negative pair of its anchor, as in pytorch-metric-learning.

    Args:
        indices_tuple: (a, p, n), or (a, p, a, n).

    Raises:
        ValueError: There are neither three nor four vectors of integers, or their lengths differ.
    """
    parts = tuple(indices_tuple)
    if len(parts) not in (3, 4) or not all(_is_vector_of_integers(part) for part in parts):
        raise ValueError(
            "indices_tuple must be triplets (a, p, n) or pairs (a, p, a, n), each a vector of integer positions, but "
            f"it is {[getattr(part, 'shape', type(part).__name__) for part in parts]}; pass what a miner returns"
        )
    if len(parts) == 4:
        anchor, positive, other, negative = parts
        first, second = (anchor[:, None] == other).nonzero(as_tuple=True)
        return anchor[first], positive[first], negative[second]
    if not len(parts[0]) == len(parts[1]) == len(parts[2]):
        raise ValueError(
            f"the three vectors of indices_tuple must have one length, but they have {[len(part) for part in parts]}; "
            "give one position each for every triplet"
        )
    anchors, positives, negatives = parts
    return anchors, positives, negatives


def _check_pair(name: str, embeddings: Tensor, labels_name: str, labels: Tensor | None) -> None:
    if not embeddings.is_floating_point() or embeddings.ndim != 2 or len(embeddings) == 0:
        raise ValueError(
            f"{name} must be floating-point numbers of the shape (B, E), with B of at least 1, but they have "
            f"{embeddings.dtype} and {tuple(embeddings.shape)}; give one embedding for each image"
        )
    if labels is not None and labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{name} and {labels_name} must have the shapes (B, E) and (B,) with B of at least 1, but they have "
            f"{tuple(embeddings.shape)} and {tuple(labels.shape)}; give one embedding and one label for each image"
        )


def _is_vector_of_integers(part: object) -> bool:
    if not isinstance(part, Tensor) or part.ndim != 1:
        return False
    return not (part.is_floating_point() or part.is_complex() or part.dtype == torch.bool)
