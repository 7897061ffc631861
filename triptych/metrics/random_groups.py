"""Variance of retrieval metrics over samples of images that are both queries and gallery, by random groups.

Resampling only the queries would miss half of the variance: another sample has other neighbours too. Images are
therefore divided at random into disjoint groups. The metrics of the groups, each with retrieval within the group, are
independent, with the variance of metrics of that number of images ("random groups" and half-samples: Wolter,
Introduction to Variance Estimation, 2007, chapters 2 and 3). Letters: N images, E embedding dimension, M replicates.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.metrics.retrieval import retrieval_metrics

GROUP = 500
"""Maximum number of images in a group; fewer than 1,000 images are divided into halves."""

REPLICATES = 120
"""Number of group metrics over several divisions, which determines the standard error to about 7 %."""


def retrieval_influences(
    embeddings: Tensor,
    labels: Tensor,
    *,
    k: Sequence[int] = (1, 5, 10),
    distance: Literal["cosine", "euclidean"] = "cosine",
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Return the influences of `retrieval_metrics` without a gallery, for `triptych.metrics.intervals.Statistic`.

    The standard error of a metric of N images is 1/√g of that of one of g groups. Retrieval within a group is harder
    than among all images, so that high metrics vary slightly more there: the intervals are conservative. The divisions
    depend only on N and the seed: influences of two models on the same images are paired.

    Args:
        embeddings: (N, E).
        labels: (N,) integers.
        k: The values of k of `recall_at_k`.
        distance: The distance of the retrieval.
        seed: Seed of the divisions into groups.

    Returns:
        (M,) for each key of `retrieval_metrics`; zeros if N is less than 4 or no query has a relevant row.
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
