"""The decoder: from a point of the latent space back to an image."""

from itertools import pairwise
from math import ceil, prod

import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.latent import at_least_float32
from triptych.models.layout import channels_last

# B batch, L latent, C channels, H/W image, h/w grid of features.

CELL = 4
"""Side of the square of pixels that each cell of the finest features paints."""
COARSEST = 8
"""The coarsest grid has at most this many cells along its shorter side."""
HIDDEN = 8
"""Width of the hidden layer, in units of decoder_dim."""


class ImageDecoder(nn.Module):
    """Paint an image from a latent: a small MLP paints a coarse grid of features, which is refined in steps of two.

    The finest features lie on a quarter of the image's grid, where a convolution gives each cell the 4x4 pixels that it
    paints (the sub-pixel convolution of Shi et al., 2016): the decoder then costs a tenth of the encoder. Small
    images (up to 32 pixels along a side) need no refinement.

    Args:
        latent_dim: L.
        image_size: H and W, any; the grids are rounded up and what is beyond the image is cut off.
        out_channels: C.
        decoder_dim: channels at the finest grid; they double with every step to a coarser one, up to four times.
    """

    def __init__(self, latent_dim: int, *, image_size: tuple[int, int], out_channels: int, decoder_dim: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.decoder_dim = decoder_dim
        self.grids = _grids(image_size)
        widths = [decoder_dim * min(2**level, 4) for level in reversed(range(len(self.grids)))]
        self.hidden = nn.Linear(latent_dim, HIDDEN * decoder_dim)
        self.coarse = nn.Linear(HIDDEN * decoder_dim, widths[0] * prod(self.grids[0]))
        self.refinements = nn.ModuleList(Refinement(coarse, fine) for coarse, fine in pairwise(widths))
        self.pixels = channels_last(nn.Conv2d(decoder_dim, CELL**2 * out_channels, 3, padding=1))

    def forward(self, latent: Tensor) -> Tensor:
        """Map latents (B, L) to logits of pixels (B, C, H, W), before the sigmoid, in float32 at least."""
        rows, columns = self.grids[0]
        cells = self.coarse(F.gelu(self.hidden(latent))).reshape(latent.shape[0], rows, columns, -1)
        features = cells.permute(0, 3, 1, 2)  # channels-last in memory
        for refinement, (rows, columns) in zip(self.refinements, self.grids[1:], strict=True):
            features = refinement(features)[..., :rows, :columns]
        pixels = F.pixel_shuffle(self.pixels(F.gelu(features)), CELL)
        height, width = self.image_size
        return at_least_float32(pixels[..., :height, :width])


class Refinement(nn.Module):
    """Double a grid of features: each cell looks at its neighbours, then becomes four.

    Args:
        in_channels: channels of the coarse grid.
        out_channels: channels of the fine grid.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.neighbours = channels_last(nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels))
        self.quarters = channels_last(nn.Conv2d(in_channels, 4 * out_channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, in_channels, h, w) to (B, out_channels, 2h, 2w)."""
        features = features + self.neighbours(features)
        return F.pixel_shuffle(self.quarters(F.gelu(features)), 2)


def _grids(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """List the grids of features, the coarsest first; each has half the cells a side of the next, rounded up.

    Example:
        >>> _grids((32, 32)), _grids((96, 100))
        ([(8, 8)], [(6, 7), (12, 13), (24, 25)])
    """
    grids = [(ceil(image_size[0] / CELL), ceil(image_size[1] / CELL))]
    while min(grids[0]) > COARSEST:
        grids.insert(0, (ceil(grids[0][0] / 2), ceil(grids[0][1] / 2)))
    return grids
