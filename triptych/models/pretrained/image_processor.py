"""The preprocessing of a Hugging Face image processor, read from its file.

The processors themselves are not used: the fast ones need torchvision, and they process images one by one.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeGuard

from triptych.models.pretrained.backbone import BackboneError

NOT_TAKEN_OVER = ("do_flip_channel_order", "rescale_offset", "include_top")
"""Additional steps of a few processors: BGR order (MobileViT), a shift, a second normalisation (EfficientNet)."""


class ExpectedImages(NamedTuple):
    """The input images that a model expects."""

    size: tuple[int, int]
    """Height and width."""
    channels: int
    mean: tuple[float, ...]
    """Mean of each channel, pixels in [0, 1]."""
    std: tuple[float, ...]


def expected_images(processing: Mapping[str, Any], *, config: Mapping[str, Any], name: str) -> ExpectedImages:
    """Read the image size and the normalisation.

    Raises:
        BackboneError: The files lack them, have values other than numbers, or require steps that are not supported.

    Example:
        >>> processing = {"image_mean": [0.5], "image_std": [0.25], "size": {"shortest_edge": 224}}
        >>> expected_images(processing, config={"num_channels": 1}, name="vit")
        ExpectedImages(size=(224, 224), channels=1, mean=(0.5,), std=(0.25,))
    """
    if other := [step for step in NOT_TAKEN_OVER if processing.get(step)]:
        raise BackboneError(
            f"expected a model whose images are resized, rescaled and normalised alone, got {name}, whose "
            f"preprocessor_config.json needs {' and '.join(other)} too. Choose another"
        )
    channels = config.get("num_channels") or 3
    cropped = processing.get("crop_size") if processing.get("do_center_crop") else None
    size = _size(cropped) or _size(processing.get("size")) or _size(config.get("image_size"))
    mean, std = processing.get("image_mean"), processing.get("image_std")
    if processing.get("do_normalize") is False:
        mean, std = [0.0] * channels, [1.0] * channels
    factor = processing.get("rescale_factor", 1 / 255) if processing.get("do_rescale", True) else 1
    if not size:
        lacking = "a size"
    elif not (_are_numbers(mean, channels) and _are_numbers(std, channels) and min(std) > 0):
        lacking = f"image_mean and a positive image_std of its {channels} channels"
    elif not (_are_numbers([factor], 1) and factor > 0):
        lacking = "a positive rescale_factor"
    else:
        # Pixels up to 255 are rescaled first, nearly always to [0, 1].
        largest = 255 * factor
        return ExpectedImages(
            size,
            channels,
            mean=tuple(float(value) / largest for value in mean),
            std=tuple(float(value) / largest for value in std),
        )
    raise BackboneError(
        f"expected a model whose image processor defines how images are prepared, got {name}, whose "
        f"preprocessor_config.json lacks {lacking}. Complete it, or save the processor again"
    )


def _size(value: object) -> tuple[int, int] | None:
    """Read a size in any of the library's formats, old and new."""
    match value:
        case int(side) | {"shortest_edge": int(side)}:
            size = side, side
        case [int(height), int(width)] | {"height": int(height), "width": int(width)}:
            size = height, width
        case _:
            return None
    return size if min(size) > 0 else None


def _are_numbers(values: object, count: int) -> TypeGuard[Sequence[float]]:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )
