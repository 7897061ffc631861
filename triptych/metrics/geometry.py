"""The geometry of embeddings: collapse, spread, effective rank, and the trustworthiness of a map.

All functions use directions: embeddings (N, E) are scaled to unit length first; a row of zeros does not change. An
input that is not a finite matrix raises ValueError.

Letters: N images, E embedding dimension.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.metrics.inputs import in_double, require_labels, require_matrix, require_whole_number, sampled_rows
from triptych.metrics.similarity import scale_to_unit_length

POINT = 1e-7
"""Directions within this distance of each other count as one point: the resolution of float32."""

UNIFORMITY_TEMPERATURE = 2.0
UNIFORMITY_SAMPLE = 10_000
"""Maximum number of images for pairwise measures."""

UNIFORMITY_CHUNK = 1024

TRUSTWORTHINESS_SAMPLE = 5_000
"""Maximum number of images for pairwise ranking: 400 MB."""


def spread(embeddings: Tensor) -> float:
    """Return the spread of embeddings: √E times the root of the mean variance of a dimension.

    For unit vectors it is √(1 - |mean|²): 0 means that all are one point, 1 that their mean is the sphere's centre,
    where the standard deviation of a dimension is 1/√E (the measure of collapse of Chen & He, "SimSiam", 2021).

    Example:
        >>> spread(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])), round(spread(torch.ones(3, 2)), 6)
        (1.0, 0.0)
    """
    directions = _directions(embeddings)
    deviations = directions - directions.mean(dim=0)
    return float(deviations.square().sum(dim=1).mean().sqrt())


def effective_rank(embeddings: Tensor) -> float:
    """Return the effective rank of the centred embeddings: exp of the entropy of the normalised singular values.

    Roy & Vetterli 2007. From 1 (a line) to E; 0 if all embeddings are one point.

    Example:
        >>> round(effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
        2.0
    """
    directions = _directions(embeddings)
    singular = torch.linalg.svdvals(directions - directions.mean(dim=0))
    if singular[0] <= POINT * len(directions) ** 0.5:
        return 0.0
    return float(torch.special.entr(singular / singular.sum()).sum().exp())


def alignment(embeddings: Tensor, labels: Tensor) -> float:
    """Return the mean squared distance between two different images of a class (Wang & Isola 2020), in [0, 4].

    Every pair has the same weight. NaN if no class has two images.

    Args:
        embeddings: (N, E).
        labels: (N,) integers.

    Example:
        >>> alignment(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), torch.tensor([0, 0, 1]))
        2.0
    """
    directions = _directions(embeddings)
    require_labels("labels", labels, count=len(directions))
    _, class_of = torch.unique(labels.to(directions.device), return_inverse=True)
    size = class_of.bincount().double()
    pairs = float((size * (size - 1)).sum())
    if not pairs:
        return math.nan
    # Around the class's mean, Σ_ij |x_i - x_j|² = 2 n Σ |x|²: no loop over pairs, and no cancellation.
    sums = directions.new_zeros(len(size), directions.shape[1]).index_add_(0, class_of, directions)
    deviations = (directions - (sums / size[:, None])[class_of]).square().sum(dim=1)
    return float((2 * size[class_of] * deviations).sum()) / pairs


def uniformity(embeddings: Tensor, *, seed: int = 0) -> float:
    """Return the logarithm of the mean of exp(-2 |x - y|²) over pairs of images (Wang & Isola 2020, t = 2).

    At most 0 (all at one point); the lower, the more uniformly they cover the sphere. NaN for one image.

    Args:
        embeddings: (N, E).
        seed: Seed of the sample of 10,000 images, if there are more.

    Example:
        >>> round(uniformity(torch.tensor([[1.0, 0.0], [0.0, 1.0]])), 6)  # one pair, at the squared distance 2
        -4.0
    """
    directions = _directions(embeddings)
    directions = directions[sampled_rows(len(directions), at_most=UNIFORMITY_SAMPLE, seed=seed).to(directions.device)]
    count = len(directions)
    if count < 2:
        return math.nan
    squares = directions.square().sum(dim=1)
    total = 0.0
    for rows in torch.split(torch.arange(count, device=squares.device), UNIFORMITY_CHUNK):
        squared = squares[rows, None] + squares - 2 * (directions[rows] @ directions.T)
        total += float((-UNIFORMITY_TEMPERATURE * squared.clamp(min=0)).exp().sum())
    return math.log((total - count) / (count * (count - 1)))  # without the exp(0) of each image with itself


def trustworthiness(
    embeddings: Tensor, points: NDArray[np.floating] | Tensor, *, neighbours: int = 12, seed: int = 0
) -> float:
    """Return the trustworthiness of a 2D map of the embeddings, at most 1 (Venna & Kaski 2001).

    It is 1 if all neighbours on the map are neighbours among the embeddings. NaN below 3 images, and if all embeddings
    are one point.

    Args:
        embeddings: (N, E).
        points: (N, 2), the map.
        neighbours: Number of neighbours of each point; fewer if there are not twice as many images.
        seed: Seed of the sample of 5,000 images, if there are more.
    """
    from sklearn.manifold import trustworthiness as measured

    directions = _directions(embeddings)
    places = torch.as_tensor(points)
    require_matrix("points", places)
    require_whole_number("neighbours", neighbours, least=1)
    if len(places) != len(directions):
        raise ValueError(
            f"points must be as many as embeddings, {len(directions)}, but there are {len(places)}; give each image "
            "its place on the map"
        )
    rows = sampled_rows(len(directions), at_most=TRUSTWORTHINESS_SAMPLE, seed=seed)
    neighbours = min(neighbours, (len(rows) - 1) // 2)
    if not neighbours or spread(embeddings) <= POINT:
        return math.nan
    return float(measured(directions.cpu()[rows].numpy(), places.cpu()[rows].numpy(), n_neighbors=neighbours))


def _directions(embeddings: Tensor) -> Tensor:
    require_matrix("embeddings", embeddings)
    return scale_to_unit_length(in_double(embeddings))
