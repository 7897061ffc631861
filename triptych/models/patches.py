"""Patch embeddings: the encoder's first step, from standardised pixels to tokens."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.layout import channels_last
from triptych.models.recomputing import recomputed

# B batch, C channels, H/W image, h/w token grid, N = h*w tokens, D width.

STAGE = 3
"""Layers of a scale: a strided convolution, a residual one, and SiLU, which the last scale lacks."""


class PatchEmbedding(nn.Module):
    """One linear map per patch, as in ViT (Dosovitskiy et al., 2021): a convolution whose stride is its kernel.

    Args:
        in_channels: C.
        embed_dim: D, width of a token.
        patch_size: side of the square of pixels that becomes one token.
    """

    def __init__(self, in_channels: int, *, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = _convolution(in_channels, embed_dim, kernel=patch_size, stride=patch_size, padding=0)

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:  # noqa: ARG002 - there is nothing between
        """Map images (B, C, H, W) to tokens (B, N, D), row by row of the grid.

        Raises:
            ValueError: the patches do not divide the image.
        """
        token_grid(images.shape[-2], images.shape[-1], patch_size=self.patch_size)
        return _as_tokens(self.projection(images))


class ConvolutionalPatchEmbedding(nn.Module):
    """A small residual network: "Early convolutions help transformers see better" (Xiao et al., 2021).

    At each scale a strided convolution, then one residual convolution that keeps the size. The strides are the prime
    factors of `patch_size`, the largest first, where the channels are fewest: 8 is 2, 2, 2; 12 is 3, 2, 2; 1 is a
    single convolution of stride 1. The widths double up to `embed_dim`, with SiLU between (Elfwing et al.,
    2018), which learned as well as GELU in half its time. Nothing is normalised between: batch statistics would tie the
    images of a batch together, and normalising each image by itself did not learn faster.

    Args:
        in_channels: C.
        embed_dim: D, width of a token.
        patch_size: the total stride.
    """

    def __init__(self, in_channels: int, *, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        strides = _prime_factors(patch_size)[::-1] or [1]
        widths = [max(embed_dim >> halvings, 8) for halvings in range(len(strides) - 1, 0, -1)]
        layers: list[nn.Module] = []
        for stride, (inputs, outputs) in zip(strides, pairwise([in_channels, *widths, embed_dim]), strict=True):
            # A window is its cell and a pixel around it; at stride 2 a pixel on one side is enough.
            kernel = 3 if stride <= 2 else stride + 2
            strided = _convolution(inputs, outputs, kernel=kernel, stride=stride, padding=1)
            layers += [strided, ResidualConvolution(outputs), nn.SiLU()]
        self.convolutions = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:
        """Map images (B, C, H, W) to tokens (B, N, D), row by row of the grid.

        Args:
            images: the batch.
            recompute: whether only what goes from scale to scale is kept for the backward pass.

        Raises:
            ValueError: the patches do not divide the image.
        """
        token_grid(images.shape[-2], images.shape[-1], patch_size=self.patch_size)
        if not recompute:
            return _as_tokens(self.convolutions(images))
        features = images
        for first in range(0, len(self.convolutions), STAGE):
            features = recomputed(self.convolutions[first : first + STAGE], features)
        return _as_tokens(features)


class ResidualConvolution(nn.Module):
    """A 3x3 convolution added to what it looks at: x + convolution(SiLU(x)).

    Args:
        channels: of the features, before and after.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = _convolution(channels, channels, kernel=3, stride=1, padding=1)
        # Half the deviation at the start: the sum of both ways is little larger than the first.
        self.convolution.weight.data.mul_(0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, channels, h, w) to the same shape."""
        output: Tensor = features + self.convolution(F.silu(features))
        return output


PATCH_EMBEDDINGS: dict[str, type[PatchEmbedding] | type[ConvolutionalPatchEmbedding]] = {
    "linear": PatchEmbedding,
    "convolutional": ConvolutionalPatchEmbedding,
}
"""The values of `patch_embedding`."""


def token_grid(height: int, width: int, *, patch_size: int) -> tuple[int, int]:
    """Count the patches down and across an image.

    Raises:
        ValueError: the patches do not divide the image.

    Example:
        >>> token_grid(12, 20, patch_size=4)
        (3, 5)
    """
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"patch_size must divide the image's height and width, but {patch_size} does not divide {height}x{width}; "
            f"choose another patch_size, or pad the images to "
            f"{-(-height // patch_size) * patch_size}x{-(-width // patch_size) * patch_size}"
        )
    return height // patch_size, width // patch_size


def _prime_factors(number: int) -> list[int]:
    """Factorise, the smallest first; 1 has no factors."""
    for factor in range(2, number + 1):
        if number % factor == 0:
            return [factor, *_prime_factors(number // factor)]
    return []


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int, padding: int) -> nn.Conv2d:
    """Make a convolution that keeps the scale of what passes through it and SiLU (He et al., 2015)."""
    convolution = channels_last(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding))
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.get_parameter("bias"))
    return convolution


def _as_tokens(features: Tensor) -> Tensor:
    """Read a map of features (B, D, h, w) as tokens (B, N, D)."""
    return features.flatten(2).transpose(1, 2)
