"""How much a retrieval figure varies with the images, which are queries and gallery at once: by random groups.

Resampling the queries alone would miss half of the variation: another sample has other neighbours too. Images are
therefore divided at random into groups that share no image. The figures of the groups, each group searched by itself,
are independent, and vary as figures of so many images do ("random groups" and half-samples: Wolter, Introduction to
Variance Estimation, 2007, chapters 2 and 3). Letters: N images, E embedding dimension, M replicates.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.metrics.retrieval import retrieval_metrics

GROUP = 500
"""Most images of a group; the groups of fewer than 1,000 images are halves."""

REPLICATES = 120
"""Figures of groups, over several divisions: then the standard error is known to about 7 %."""


def retrieval_influences(
    embeddings: Tensor,
    labels: Tensor,
    *,
    k: Sequence[int] = (1, 5, 10),
    distance: Literal["cosine", "euclidean"] = "cosine",
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Return the influences of `retrieval_metrics` without a gallery, for `triptych.metrics.intervals.Statistic`.

    The standard error of a figure of N images is 1/√g of that of one of g groups. Less is found in a group than among
    all images, so that good figures vary a little more there: the intervals are rather too wide than too narrow. The
    divisions depend on N and the seed alone: influences of two models on the same images are paired.

    Args:
        embeddings: (N, E).
        labels: (N,) whole numbers.
        k: The depths of `recall_at_k`.
        distance: By which the figures are measured.
        seed: Of the divisions into groups.

    Returns:
        By the names of `retrieval_metrics`, (M,) each; zeros where N is less than 4 or nothing can be found.
    """
    groups = max(2, -(-len(labels) // GROUP))
    divisions = list(_divisions(len(labels), groups, seed)) if len(labels) >= 4 else []
    found = [
        [retrieval_metrics(embeddings[rows], labels[rows], k=k, distance=distance) for rows in division]
        for division in divisions
    ]
    influences = {}
    for name in ("precision_at_1", *(f"recall_at_{depth}" for depth in k), "r_precision", "map_at_r", "mrr"):
        values = np.array([[group[name] for group in division] for division in found]).reshape(-1, groups)
        known = values[np.isfinite(values).all(axis=1)]
        influences[name] = np.zeros(values.size)
        if len(known):
            deviations = known - known.mean(axis=1, keepdims=True)
            influences[name][: known.size] = deviations.ravel() / np.sqrt((groups - 1) * known.size)
    return influences


def _divisions(count: int, groups: int, seed: int) -> Iterator[tuple[Tensor, ...]]:
    generator = np.random.default_rng(seed)
    for _ in range(-(-REPLICATES // groups)):
        yield tuple(map(torch.from_numpy, np.array_split(generator.permutation(count), groups)))
