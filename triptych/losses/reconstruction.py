"""The reconstruction loss of the variational autoencoder's decoder."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

ReconstructionKind = Literal["mse", "bce", "gaussian"]

LEAST_VARIANCE = 1e-8
"""Minimum variance of the gaussian error: a deviation of a ten-thousandth of the range of a pixel."""
BCE_EPSILON = 1e-6
"""Minimum distance from 0 and 1 in the cross-entropy: no pixel costs more than 13.8 nats."""


class ReconstructionLoss(nn.Module):
    """The reconstruction error. Reduction: the mean over images, channels and pixels; for gaussian its logarithm.

    Kinds:
        mse: The squared difference.
        gaussian: ½ · log(2πe · mse), the negative log-likelihood in nats per pixel and channel of a Gaussian around the
            reconstruction with the optimal variance, the mean squared difference of the batch (Rybkin et al. 2021,
            "sigma-VAE"). Its scale is the same on all data sets; it is negative if the error is below 1 / 2πe. Together
            with the KL divergence, divided by the number of pixels and channels, it is the evidence lower bound.
        bce: The binary cross-entropy in nats of the original, taken as a probability, under the reconstruction, as in
            Kingma & Welling 2014. Reconstructions are clamped to [1e-6, 1 - 1e-6]; outside, the gradient is 0.

    Args:
        kind: One of the kinds above.

    Raises:
        ValueError: The kind is unknown.

    Example:
        >>> ReconstructionLoss(kind="mse")(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
        tensor(0.2500)
    """

    inputs = ("reconstruction", "image")

    def __init__(self, *, kind: ReconstructionKind = "mse") -> None:
        super().__init__()
        if kind not in get_args(ReconstructionKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(ReconstructionKind))}, but it is {kind!r}")
        self.kind: ReconstructionKind = kind

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """Compare (B, C, H, W) reconstructions with originals in [0, 1]; returns a scalar, at least float32.

        Raises:
            ValueError: As in `per_image`.
        """
        return self.reduce(self.per_image(reconstruction, images))

    def reduce(self, errors: Tensor) -> Tensor:
        """Return the loss, a scalar, from the errors (B,) of all images of a batch, over all processes."""
        error = errors.mean()
        if self.kind == "gaussian":
            return 0.5 * (2 * math.pi * math.e * error.clamp_min(LEAST_VARIANCE)).log()
        return error

    def per_image(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """Return the errors (B,) of the images, each a mean over channels and pixels; squared errors for gaussian.

        Raises:
            ValueError: The shapes differ or are not (B, C, H, W).
        """
        if images.ndim != 4 or reconstruction.shape != images.shape:
            raise ValueError(
                "reconstruction and images must have one shape (B, C, H, W), but they have "
                f"{tuple(reconstruction.shape)} and {tuple(images.shape)}; compare each with its own image"
            )
        dtype = torch.promote_types(reconstruction.dtype, torch.float32)
        reconstruction, images = reconstruction.to(dtype), images.to(dtype)
        errors = _cross_entropy if self.kind == "bce" else _squared_error
        return errors(reconstruction, images).flatten(start_dim=1).mean(dim=1)

    def extra_repr(self) -> str:
        """Return the kind, for `print(loss)`."""
        return f"kind={self.kind!r}"


def _squared_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    return (reconstruction - images).square()


def _cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Replace PyTorch's own, which rejects CUDA's autocast and raises on NaN before the run can report the loss."""
    probability = reconstruction.clamp(BCE_EPSILON, 1 - BCE_EPSILON)
    return -(images * probability.log() + (1 - images) * (-probability).log1p())


def squared_errors(reconstruction: Tensor, image: Tensor, *, pad: int = 0) -> Tensor:
    """Return the squared error (B,) of each reconstruction (B, C, H, W), a mean over channels and pixels.

    Args:
        reconstruction: Pixels in [0, 1].
        image: The originals.
        pad: Width of the border that was added to the images, which is excluded.
    """
    height, width = image.shape[2:]
    inner = (..., slice(pad, height - pad), slice(pad, width - pad))
    return (reconstruction[inner].float() - image[inner].float()).square().flatten(1).mean(1)
