"""Pooling: from the tokens of an image to one vector of features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B batch, N tokens, D width, R regions.

REGIONS = 4
"""Regions along each side of the token grid, where it has as many tokens."""


class RegionPooling(nn.Module):
    """Average the tokens of each of 4x4 regions of the image, and lay the means side by side.

    The mean over all tokens forgets where things were, and the decoder needs to know: the tokens would have to say it
    in their own channels, which takes long to learn. Sixteen means keep the layout for nothing (one level of the
    spatial pyramid of Lazebnik et al., 2006). A grid of 4x4 tokens or fewer is kept as it is.

    Args:
        embed_dim: D.
        grid: rows and columns of the token grid, N = rows * columns.
    """

    average: Tensor | None

    def __init__(self, embed_dim: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = min(grid[0], REGIONS), min(grid[1], REGIONS)
        self.output_dim = rows * columns * embed_dim
        # A matrix product, since the backward pass of adaptive pooling is not deterministic on a GPU.
        self.register_buffer("average", None, persistent=False)
        if (rows, columns) != grid:
            inside = torch.kron(_regions(grid[0], rows), _regions(grid[1], columns))
            self.average = inside / inside.sum(1, keepdim=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) to features (B, R * D), region by region, R at most 16."""
        means = tokens if self.average is None else self.average @ tokens
        return means.flatten(1)


def _regions(cells: int, regions: int) -> Tensor:
    """Say with ones which cells of a line lie in which region: (regions, cells), as adaptive pooling divides them."""
    return (F.adaptive_avg_pool1d(torch.eye(cells)[None], regions)[0].T > 0).float()
