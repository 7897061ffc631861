"""The decoder: from a point of the latent space back to an image."""

from itertools import pairwise
from math import ceil, prod, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.latent import at_least_float32
from triptych.models.layout import channels_last

# B batch, L latent, C channels, H/W image, h/w grid of features.

CELL = 4
"""Side in pixels of the square that each cell of the finest grid decodes to."""
COARSEST = 8
"""The coarsest grid has at most this many cells along its shorter side."""
HIDDEN = 8
"""Width of the hidden layer, in units of decoder_dim."""
MOST_VALUES = 3 * 96 * 96
"""Maximum of decoded values (pixels times channels); a larger image is decoded at low resolution and upsampled."""


class ImageDecoder(nn.Module):
    """Decode an image from a latent: a small MLP gives a coarse feature grid, which is upsampled in steps of two.

    The finest grid has a quarter of the image's resolution; there a convolution computes the 4x4 pixels of each cell
    (the sub-pixel convolution of Shi et al., 2016), so that the decoder costs a tenth of the encoder. Small images (up
    to 32 pixels along a side) need no refinement. Images of more than `MOST_VALUES` values are decoded at a half, a
    third, ... of their size and upsampled: a latent of a few dozen dimensions does not hold finer detail, and the
    decoder would cost as much as the encoder.

    Args:
        latent_dim: L.
        image_size: H and W, any; the grids are rounded up and the output is cropped to the image.
        out_channels: C.
        decoder_dim: Channels at the finest grid; each coarser grid has twice as many, up to four times this number.

    Attributes:
        decoded_size: h and w of the image before upsampling; H and W without upsampling.
    """

    def __init__(self, latent_dim: int, *, image_size: tuple[int, int], out_channels: int, decoder_dim: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.decoder_dim = decoder_dim
        factor = _factor(image_size, channels=out_channels)
        self.decoded_size = (ceil(image_size[0] / factor), ceil(image_size[1] / factor))
        self.grids = _grids(self.decoded_size)
        widths = [decoder_dim * min(2**level, 4) for level in reversed(range(len(self.grids)))]
        self.hidden = nn.Linear(latent_dim, HIDDEN * decoder_dim)
        self.coarse = nn.Linear(HIDDEN * decoder_dim, widths[0] * prod(self.grids[0]))
        self.refinements = nn.ModuleList(Refinement(coarse, fine) for coarse, fine in pairwise(widths))
        self.pixels = channels_last(nn.Conv2d(decoder_dim, CELL**2 * out_channels, 3, padding=1))
        self.enlargement = Enlargement(self.decoded_size, factor=factor) if factor > 1 else None

    def forward(self, latent: Tensor, ground: Tensor | None = None) -> Tensor:
        """Map latents (B, L) to logits of pixels (B, C, H, W), before the sigmoid, at least float32.

        Args:
            latent: The latents.
            ground: Logits of the decoded size (B, C, h, w), which are added to the decoder's output, unless None.
        """
        rows, columns = self.grids[0]
        cells = self.coarse(F.gelu(self.hidden(latent))).reshape(latent.shape[0], rows, columns, -1)
        features = cells.permute(0, 3, 1, 2)  # channels-last in memory
        for refinement, (rows, columns) in zip(self.refinements, self.grids[1:], strict=True):
            features = refinement(features)[..., :rows, :columns]
        pixels = F.pixel_shuffle(self.pixels(F.gelu(features)), CELL)
        logits = at_least_float32(pixels[..., : self.decoded_size[0], : self.decoded_size[1]])
        if ground is not None:
            logits = logits + ground
        if self.enlargement is None:
            return logits
        return at_least_float32(self.enlargement(logits))[..., : self.image_size[0], : self.image_size[1]]


class Refinement(nn.Module):
    """Double the resolution of a feature grid: a convolution, whose channels then become 2x2 cells.

    Args:
        in_channels: Number of channels of the coarse grid.
        out_channels: Number of channels of the fine grid.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.neighbours = channels_last(nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels))
        self.quarters = channels_last(nn.Conv2d(in_channels, 4 * out_channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, in_channels, h, w) to (B, out_channels, 2h, 2w)."""
        features = features + self.neighbours(features)
        return F.pixel_shuffle(self.quarters(F.gelu(features)), 2)


class Enlargement(nn.Module):
    """Upsample images by an integer factor with bilinear interpolation; nothing is learned.

    The result equals `interpolate` with mode "bilinear", whose backward pass is not deterministic on a GPU.

    Args:
        image_size: Height and width of the input.
        factor: The scale factor.
    """

    kernel: Tensor
    weight: Tensor

    def __init__(self, image_size: tuple[int, int], *, factor: int) -> None:
        super().__init__()
        self.factor = factor
        offsets = (torch.arange(factor) + 0.5) / factor - 0.5  # of the fine pixels from the centre of the coarse pixel
        line = torch.stack([(-offsets).clamp_min(0), 1 - offsets.abs(), offsets.clamp_min(0)], dim=1)
        kernel = torch.einsum("ia,jb->ijab", line, line).reshape(factor**2, 1, 3, 3)
        self.register_buffer("kernel", kernel, persistent=False)
        # There are no pixels beyond the edge: the weights of those inside are renormalised.
        self.register_buffer("weight", self._spread(torch.ones(1, 1, *image_size)), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, h, w) to (B, C, factor * h, factor * w)."""
        batch, channels, *size = images.shape
        spread = self._spread(images.reshape(batch * channels, 1, *size)) / self.weight
        return spread.reshape(batch, channels, *spread.shape[2:])

    def _spread(self, images: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(images, self.kernel, padding=1), self.factor)


def _factor(image_size: tuple[int, int], *, channels: int) -> int:
    """Choose the scale factor, so that at most `MOST_VALUES` values are decoded.

    Example:
        >>> [_factor((side, side), channels=3) for side in (96, 128, 224, 384)]
        [1, 2, 3, 4]
    """
    return ceil(sqrt(prod(image_size) * channels / MOST_VALUES))


def _grids(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """List the sizes of the feature grids, coarsest first; each has half the side of the next, rounded up.

    Example:
        >>> _grids((32, 32)), _grids((96, 100))
        ([(8, 8)], [(6, 7), (12, 13), (24, 25)])
    """
    grids = [(ceil(image_size[0] / CELL), ceil(image_size[1] / CELL))]
    while min(grids[0]) > COARSEST:
        grids.insert(0, (ceil(grids[0][0] / 2), ceil(grids[0][1] / 2)))
    return grids
