"""Checks the input images of the models and standardises their pixels."""

from collections.abc import Iterator, Sequence
from math import ceil

import torch
from torch import Tensor, nn

# B batch, C channels, H/W image.


class PixelStandardisation(nn.Module):
    """Standardise pixels with the training set's mean and standard deviation, so that users pass pixels in [0, 1].

    Mean and deviation are buffers: they are saved with the weights and move between devices with them.

    Args:
        image_size: H and W that are accepted.
        in_channels: C that is accepted.
        mean: One number for all channels, or one per channel, for pixels in [0, 1].
        std: Standard deviation, likewise; zero (a constant channel) counts as one.

    Raises:
        ValueError: Neither one number nor one per channel, a number that is not finite, or a negative deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        in_channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.in_channels = in_channels
        self.register_buffer("mean", _per_channel("pixel_mean", mean, channels=in_channels))
        deviation = _per_channel("pixel_std", std, channels=in_channels)
        if (deviation < 0).any():
            raise ValueError(f"pixel_std must not be negative, but it is {std}; pass standard deviations")
        self.register_buffer("std", torch.where(deviation == 0, torch.ones_like(deviation), deviation))

    def forward(self, images: Tensor) -> Tensor:
        """Standardise images (B, C, H, W), floating point with pixels in [0, 1], in the precision of the model.

        The range of the pixels is not checked: on a GPU this would force a synchronisation.

        Raises:
            ValueError: The images have another type or shape.
        """
        expected = (self.in_channels, *self.image_size)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(
                f"images must have the shape (B, {', '.join(map(str, expected))}), but it is {tuple(images.shape)}; "
                "resize or pad them, add a batch dimension with images.unsqueeze(0), or build the model for their size"
            )
        if not images.is_floating_point():
            raise ValueError(
                f"images must be floating point with pixels in [0, 1], but they are {images.dtype}; "
                "divide by 255: images.float() / 255"
            )
        return ((images - self.mean) / self.std).to(self.mean.dtype)

    def batches(self, images: Tensor, *, size: int = 256) -> Iterator[Tensor]:
        """Standardise uint8 images (n, C, H, W) in batches of at most `size`, whose sizes differ by at most one."""
        for batch in images.tensor_split(ceil(len(images) / size)):
            yield self(batch.to(self.mean.device).float() / 255)


def _per_channel(name: str, numbers: float | Sequence[float], *, channels: int) -> Tensor:
    """Expand one number, or one per channel, to (C, 1, 1)."""
    values = torch.as_tensor(numbers, dtype=torch.float32).flatten()
    if len(values) not in (1, channels) or not values.isfinite().all():
        raise ValueError(
            f"{name} must be one finite number or one for each of the {channels} channels, but it is {numbers}; "
            "measure it on the training images"
        )
    return values.expand(channels).reshape(channels, 1, 1).clone()
