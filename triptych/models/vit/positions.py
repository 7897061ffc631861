"""Fixed position encodings for a grid of tokens."""

import torch
from torch import Tensor


def sine_cosine_positions(height: int, width: int, *, embed_dim: int, temperature: float = 10_000.0) -> Tensor:
    """Encode each cell of a grid by sines and cosines of its column and row, at frequencies from 1 to 1/temperature.

    The encoding of "Better plain ViT baselines" (Beyer et al., 2022): nothing is learned, so that it supports any grid.

    Args:
        height: Number of rows of the grid.
        width: Number of columns of the grid.
        embed_dim: D, divisible by 4: sine and cosine of column and row.
        temperature: Ratio of the highest frequency to the lowest.

    Returns:
        (N, D) in [-1, 1], N = height * width, row by row.

    Raises:
        ValueError: embed_dim is not divisible by 4.

    Example:
        >>> sine_cosine_positions(1, 2, embed_dim=4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0000, 1.0000]])
    """
    if embed_dim % 4:
        raise ValueError(
            f"embed_dim must be divisible by 4 for two-dimensional positions, but it is {embed_dim}; choose "
            f"{embed_dim // 4 * 4 or 4} or {embed_dim // 4 * 4 + 4}"
        )
    quarter = embed_dim // 4
    frequencies = temperature ** -(torch.arange(quarter, dtype=torch.float64) / max(quarter - 1, 1))
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij"
    )
    across = columns.reshape(-1, 1) * frequencies
    down = rows.reshape(-1, 1) * frequencies
    return torch.cat([across.sin(), across.cos(), down.sin(), down.cos()], dim=1).float()
