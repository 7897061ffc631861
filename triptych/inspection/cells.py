"""Approximate nearest neighbours in a time that grows little faster than the number of points; for duplicates.

Points are divided into cells around centroids (k-means), and each is compared with those of the nearest cells: the
inverted file of Sivic and Zisserman (2003). Letters: N points, D dimensions, C cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EXACT = 10_000
"""Points up to which all are compared with all."""
PROBES = 8
"""Cells that are searched for the neighbours of a point."""
ROUNDS = 4
SAMPLE = 20_000
AT_ONCE = 1024


def near_neighbours(points: Tensor, *, k: int) -> Tensor:
    """Find the k nearest other points of each point by cosine similarity, nearly all of them right.

    Args:
        points: (N, D) float32, unit vectors; N at least 2.
        k: Neighbours, at most N - 1.

    Returns:
        Rows, (N, k) int64, the nearest first.

    Example:
        >>> near_neighbours(F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])), k=1).tolist()
        [[2], [2], [0]]
    """
    if len(points) <= EXACT:
        everything = torch.arange(len(points))
        return torch.cat([_nearest(points, rows, everything, k) for rows in torch.split(everything, AT_ONCE)])
    centroids = _centroids(points)
    cells = torch.cat([(part @ centroids.T).argmax(1) for part in torch.split(points, AT_ONCE)])
    members = torch.split(cells.argsort(stable=True), torch.bincount(cells, minlength=len(centroids)).tolist())
    found = torch.empty(len(points), k, dtype=torch.int64)
    for cell, nearby in enumerate((centroids @ centroids.T).argsort(1, descending=True)):
        probes = PROBES
        while (gallery := torch.cat([members[place] for place in nearby[:probes].tolist()])).numel() <= k:
            probes *= 2
        for rows in torch.split(members[cell], AT_ONCE):
            found[rows] = _nearest(points, rows, gallery, k)
    return found


def _nearest(points: Tensor, rows: Tensor, gallery: Tensor, k: int) -> Tensor:
    similarity = points[rows] @ points[gallery].T
    similarity[rows[:, None] == gallery] = -2
    return gallery[similarity.topk(k, dim=1).indices]


def _centroids(points: Tensor) -> Tensor:
    """Run a few rounds of spherical k-means on a sample, (C, D); C is the root of N."""
    count = round(len(points) ** 0.5)
    sample = points[:: -(-len(points) // SAMPLE)]
    centroids = sample[:: len(sample) // count][:count].clone()
    for _ in range(ROUNDS):
        cells = torch.cat([(part @ centroids.T).argmax(1) for part in torch.split(sample, AT_ONCE)])
        sums = torch.zeros_like(centroids).index_add_(0, cells, sample)
        is_used = torch.bincount(cells, minlength=len(centroids)) > 0
        centroids[is_used] = F.normalize(sums[is_used])
    return centroids
