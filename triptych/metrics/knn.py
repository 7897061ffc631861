"""How well classes are named by neighbours among embeddings.

Letters: Q queries, G rows of the gallery, E embedding dimension.
"""

import math

import torch
from torch import Tensor

from triptych.metrics.checks import require_labels, require_matrix, require_together, require_whole_number
from triptych.metrics.neighbours import nearest_neighbours
from triptych.metrics.similarity import Distance


def knn_accuracy(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    k: int,
    distance: Distance = "cosine",
) -> float:
    """Accuracy of naming each query by a vote of its k nearest rows of the gallery (Cover & Hart 1967).

    Every neighbour has one vote; among classes with as many votes, that of the nearest neighbour wins. Of rows that are
    equally near, the first in the gallery counts as the nearest. Without a gallery each query is named by the others,
    and the accuracy is NaN where there are none.

    Args:
        query: (Q, E).
        query_labels: (Q,) whole numbers.
        gallery: (G, E), or None to leave one out.
        gallery_labels: (G,) whole numbers, or None with the gallery.
        k: Neighbours that vote; all rows do where there are fewer.
        distance: "cosine" or "euclidean".

    Raises:
        ValueError: As `nearest_neighbours`; labels that are not one whole number for each row; a gallery without
            labels, or labels without a gallery.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn_accuracy(embeddings, torch.tensor([0, 0, 1]), k=1)
        0.6666666666666666
    """
    require_whole_number("k", k, least=1)
    require_matrix("query", query)
    require_together(gallery=gallery, gallery_labels=gallery_labels)
    require_labels("query_labels", query_labels, count=len(query))
    candidates, labels = len(query) - 1, query_labels
    if gallery is not None and gallery_labels is not None:
        require_labels("gallery_labels", gallery_labels, count=len(gallery))
        candidates, labels = len(gallery), gallery_labels
    if gallery is None and not candidates:
        return math.nan
    found = nearest_neighbours(query, gallery, k=max(1, min(k, candidates)), distance=distance).indices
    classes = labels.to(found.device)[found]  # (Q, k), the nearest first
    votes = torch.stack([(classes == one[:, None]).sum(dim=1) for one in classes.unbind(dim=1)], dim=1)
    winner = classes.gather(1, votes.argmax(dim=1, keepdim=True))[:, 0]
    return int((winner == query_labels.to(found.device)).sum()) / len(query)
