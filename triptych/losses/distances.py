"""Euclidean distances between all pairs of a batch for triplet mining, accurate and with a finite gradient."""

import torch
from torch import Tensor


def pairwise_distances(embeddings: Tensor, others: Tensor | None = None) -> Tensor:
    """Compute Euclidean (not squared) distances between the rows of a batch, or between these and the rows of another.

    They are computed as |a|² + |b|² - 2ab from one matrix product, at least in float32, also under autocast: memory is
    B x R, whereas explicit differences would need B x R x E. The rows are centred first, which changes no distance and
    makes the rounding error proportional to the spread of the batch, so that a collapsing batch keeps its geometry.

    With the machine epsilon eps and the distances |a|, |b| from the batch's centre, the error of a squared distance is
    at most about 5 eps (|a|² + |b|²): for unit vectors, a relative error of 1e-6 for distant points and an absolute
    error of 1e-3 for coincident ones. Below 4 eps (|a|² + |b|²), the two count as one point, with distance 0 and
    gradient 0: no gradient is NaN or amplified by rounding. On CUDA this holds for PyTorch's default
    `float32_matmul_precision`, "highest"; TF32 has only three digits.

    Args:
        embeddings: (B, E), any floating type.
        others: (R, E), likewise; the embeddings themselves by default.

    Returns:
        (B, R), float32 or float64; without `others`, symmetric with a zero diagonal.

    Example:
        >>> pairwise_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        tensor([[0., 5.],
                [5., 0.]])
    """
    dtype = torch.promote_types(embeddings.dtype, torch.float32)
    points = embeddings.to(dtype)
    columns = points if others is None else others.to(dtype)
    centre = columns.mean(dim=0)
    points = points - centre
    columns = points if others is None else columns - centre
    with torch.autocast(points.device.type, enabled=False):
        products = points @ columns.T
    if others is None:
        squared_norms = products.diagonal()
        scale = squared_norms[:, None] + squared_norms
    else:
        scale = points.square().sum(1)[:, None] + columns.square().sum(1)
    squared = scale - 2 * products
    touching = squared <= 4 * torch.finfo(dtype).eps * scale
    # The inner fill keeps the derivative of the square root finite; the outer fill sets it to zero.
    return squared.masked_fill(touching, 1.0).sqrt().masked_fill(touching, 0.0)
