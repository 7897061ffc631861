"""Patch embeddings: the encoder's first step, from standardised pixels to tokens."""

from collections.abc import Iterable
from itertools import pairwise
from math import ceil, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.layout import channels_last
from triptych.models.vit.normalisation import BatchNormalisation
from triptych.models.vit.recomputing import recomputed

# B batch, C channels, H/W image, h/w grid of features, N tokens, D width, k side of a whitening filter.

MOST_STAGES = 3
"""Maximum number of pooling stages; the rest of the patch size is the stride of the whitening filters."""
SHARES = (1 / 4, 2 / 3, 1)
"""Channels of the last three stages in units of the token's width; rounded to multiples of 8."""
SMALLEST_FILTER = 2
"""Minimum side of a whitening filter in pixels."""
LEAST_VARIANCE = 0.1
"""Added to the variances of patches before the inverse square root: it bounds the amplification of noise. It matters
with few images: 0.1 instead of 0.0005 raised the accuracy with 1,000 images of CIFAR-10 from .549 to .586."""
SAMPLED_PATCHES = 500_000
"""Approximate number of patches for the covariance of the whitening."""


class PatchEmbedding(nn.Module):
    """One linear map per patch, as in ViT (Dosovitskiy et al., 2021): a convolution whose stride is its kernel.

    Args:
        in_channels: C.
        embed_dim: D, width of a token.
        patch_size: Side in pixels of the square that becomes one token.
    """

    def __init__(self, in_channels: int, *, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = channels_last(nn.Conv2d(in_channels, embed_dim, patch_size, stride=patch_size))
        nn.init.kaiming_normal_(self.projection.weight, nonlinearity="relu")
        nn.init.zeros_(self.projection.get_parameter("bias"))

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:  # noqa: ARG002 - nothing to recompute
        """Map images (B, C, H, W) to tokens (B, N, D), row by row of the grid.

        Raises:
            ValueError: The patches do not divide the image.
        """
        token_grid(images.shape[-2], images.shape[-1], patch_size=self.patch_size)
        return _as_tokens(self.projection(images))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Do nothing: this patch embedding has no fixed parameters."""


class ConvolutionalPatchEmbedding(nn.Module):
    """Whitened pixels, then stages of two convolutions with a max-pooling between them and batch normalisation.

    The design of the networks that learn CIFAR-10 fastest (Jordan, 2024, "94% on CIFAR-10 in 3.29 seconds on a single
    GPU"): fixed filters decorrelate neighbouring pixels, the first learned convolution runs at full resolution, and
    pooling replaces strides. The last stage has D channels, the one before it two thirds as many, and the first of
    three a quarter, because its convolution processes the most pixels. The stages halve the image (or divide it by 3)
    up to three times; the rest of `patch_size` is the stride of the whitening filters: 8 gives pooling by 2, 2, 2; 16
    gives the same after whitening with stride 2.

    Args:
        in_channels: C.
        embed_dim: D, width of a token.
        patch_size: The total stride.
    """

    def __init__(self, in_channels: int, *, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        pools = _pools(patch_size)
        self.whitening = Whitening(in_channels, stride=patch_size // prod(pools))
        widths = [max(8 * round(share * embed_dim / 8), 8) for share in SHARES[-len(pools) :]]
        widths[-1] = embed_dim
        self.stages = nn.ModuleList(
            ConvolutionalStage(inputs, outputs, pool=pool)
            for pool, (inputs, outputs) in zip(pools, pairwise([self.whitening.out_channels, *widths]), strict=True)
        )

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:
        """Map images (B, C, H, W) to tokens (B, N, D), row by row of the grid.

        Args:
            images: The batch.
            recompute: Whether only the inputs of the stages are stored for the backward pass.

        Raises:
            ValueError: The patches do not divide the image.
        """
        token_grid(images.shape[-2], images.shape[-1], patch_size=self.patch_size)
        features = self.whitening(images)
        for stage in self.stages:
            features = recomputed(stage, features) if recompute else stage(features)
        return _as_tokens(features)

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the whitening filters from standardised training images, batches of (B, C, H, W)."""
        self.whitening.fit(batches)


class Whitening(nn.Module):
    """Fixed filters that decorrelate the pixels of small patches (Coates & Ng, 2012), each with both signs, and GELU.

    Nothing is learned: `fit` computes the filters from the images' covariance. Before `fit`, they are the identity.

    Args:
        in_channels: C.
        stride: Stride of the filters, whose side is equal to it, but at least 2 pixels.

    Attributes:
        out_channels: 2 · C · k².
    """

    filters: Tensor

    def __init__(self, in_channels: int, *, stride: int) -> None:
        super().__init__()
        self.side, self.stride = max(stride, SMALLEST_FILTER), stride
        inputs = in_channels * self.side**2
        self.out_channels = 2 * inputs
        self.register_buffer("filters", torch.eye(inputs).reshape(inputs, in_channels, self.side, self.side))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B, out_channels, H / stride, W / stride), channels last in memory."""
        beyond = self.side - self.stride  # one pixel of padding at the bottom and right if filters overlap
        images = F.pad(images.contiguous(memory_format=torch.channels_last), (0, beyond, 0, beyond))
        whitened = F.conv2d(images, self.filters.to(memory_format=torch.channels_last), stride=self.stride)
        return F.gelu(torch.cat([whitened, -whitened], dim=1))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the filters from standardised images (B, C, H, W); a few thousand are enough.

        ZCA's factor V / √(λ + ε) without the rotation back: the eigenvectors of the patches' covariance, scaled to unit
        variance.
        """
        inputs = self.filters.shape[0]
        covariance, measured = torch.zeros(inputs, inputs, dtype=torch.float64), 0
        for images in batches:
            patches_per_image = (images.shape[2] // self.side) * (images.shape[3] // self.side)
            few = images[: ceil((SAMPLED_PATCHES - measured) / patches_per_image)]
            patches = F.unfold(few, self.side, stride=self.side).transpose(1, 2).reshape(-1, inputs).double().cpu()
            covariance += patches.T @ patches
            measured += len(patches)
            if measured >= SAMPLED_PATCHES:
                break
        variances, vectors = torch.linalg.eigh(covariance / max(measured, 1))
        # The sign of an eigenvector is arbitrary; both signs are used, and the largest entry determines which comes
        # first, so that every machine gets the same filters.
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        filters = (vectors * signs / (variances.clamp_min(0) + LEAST_VARIANCE).sqrt()).T
        self.filters.copy_(filters.reshape(self.filters.shape))


class ConvolutionalStage(nn.Module):
    """A 3x3 convolution, max-pooling, normalisation and GELU, then once more without the pooling.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        pool: Kernel size and stride of the pooling; 1 means no pooling.
    """

    def __init__(self, in_channels: int, out_channels: int, *, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.enter = _convolution(in_channels, out_channels)
        self.enter_norm: nn.Module = BatchNormalisation(out_channels)
        self.refine = _convolution(out_channels, out_channels)
        self.refine_norm: nn.Module = BatchNormalisation(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, in_channels, h, w) to (B, out_channels, h / pool, w / pool)."""
        features = self.enter(features)
        if self.pool > 1:
            features = F.max_pool2d(features, self.pool)
        features = F.gelu(self.enter_norm(features))
        return F.gelu(self.refine_norm(self.refine(features)))

    @torch.no_grad()
    def fold(self) -> None:
        """Fold the normalisation into the convolutions, for evaluation: the same function up to rounding.

        The scale of a normalisation is positive, so that it can be applied before the max-pooling.
        """
        for convolution, norm in ((self.enter, self.enter_norm), (self.refine, self.refine_norm)):
            if isinstance(norm, BatchNormalisation):
                scale, shift = norm.scale_and_shift()
                convolution.weight.mul_(scale[:, None, None, None])
                convolution.bias = nn.Parameter(shift.clone())
        self.enter_norm, self.refine_norm = nn.Identity(), nn.Identity()


PATCH_EMBEDDINGS: dict[str, type[PatchEmbedding] | type[ConvolutionalPatchEmbedding]] = {
    "linear": PatchEmbedding,
    "convolutional": ConvolutionalPatchEmbedding,
}
"""The values of `patch_embedding`."""


def token_grid(height: int, width: int, *, patch_size: int) -> tuple[int, int]:
    """Count the patches down and across an image.

    Raises:
        ValueError: The patches do not divide the image.

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


def _pools(patch_size: int) -> list[int]:
    """List the pooling factors of the stages: the factors 2 and 3 of the patch size, at most three; [1] if none.

    Example:
        >>> [_pools(side) for side in (1, 2, 6, 8, 16, 7)]
        [[1], [2], [2, 3], [2, 2, 2], [2, 2, 2], [1]]
    """
    pools: list[int] = []
    for factor in (2, 3):
        while patch_size % (prod(pools) * factor) == 0 and len(pools) < MOST_STAGES:
            pools.append(factor)
    return pools or [1]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Create a 3x3 convolution whose initialisation preserves the scale of the activations (He et al., 2015)."""
    convolution = channels_last(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return convolution


def _as_tokens(features: Tensor) -> Tensor:
    """View a feature map (B, D, h, w) as tokens (B, N, D)."""
    return features.flatten(2).transpose(1, 2)
