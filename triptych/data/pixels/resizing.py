"""Resizes images to one size, with antialiasing; for the image cache."""

from math import ceil
from typing import Literal

import numpy as np
from PIL import Image

from triptych.data.pixels.converting import WHITE, Colour, pixels_of
from triptych.data.pixels.decoding import Pixels, decode, measure
from triptych.data.pixels.opening import MAX_PIXELS, Picture, UndecodableImage

Fit = Literal["letterbox", "crop", "stretch", "exact"]
"""Fit of images with another aspect ratio: with bars, cropped at the centre, stretched, or not allowed."""

REDUCING_GAP = 2.0
"""Images are first reduced by averaging to at least this multiple of their final size, then resampled."""


def decode_and_fit(
    source: Picture,
    *,
    size: tuple[int, int],
    how: Fit = "letterbox",
    channels: int | None = None,
    background: Colour = WHITE,
    white: int = 65535,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode one image at the lowest sufficient resolution, and resize it.

    The arguments are those of `decode` and `fit`.

    Returns:
        uint8 (H, W, C).

    Raises:
        UndecodableImage: As in `decode`; or the image has another size although it must be exact.
    """
    if how == "exact":
        found = measure(source, max_pixels=max_pixels)
        if (found.height, found.width) != size:
            raise UndecodableImage(
                f"has {found.width} x {found.height} pixels, where {size[1]} x {size[0]} are expected"
            )

    def at_least(height: int, width: int) -> tuple[int, int]:
        down, across = _scale(height, width, size, how)
        return ceil(REDUCING_GAP * down * height), ceil(REDUCING_GAP * across * width)

    return decode(
        source,
        channels=channels,
        at_least=at_least,
        background=background,
        white=white,
        max_pixels=max_pixels,
        finish=lambda pixels: fit(pixels, size, how=how),
    )


def fit(image: Pixels, size: tuple[int, int], *, how: Fit = "letterbox", bars: int = 0) -> np.ndarray:
    """Resize one image with Pillow's bicubic filter, whose support is scaled with the reduction.

    An array that already has the size is returned unchanged.

    Args:
        image: uint8 (h, w, C), or a Pillow image, greyscale or RGB.
        size: Height H and width W.
        how: "letterbox" keeps the whole image and its aspect ratio and adds bars on two sides; "crop" keeps the aspect
            ratio and crops two sides to the centre; "stretch" changes the aspect ratio.
        bars: The brightness of a letterbox's bars: 0, black, is also the value that augmentation moves in from outside.

    Returns:
        uint8 (H, W, C).

    Example:
        >>> wide = np.full((1, 4, 1), 255, np.uint8)
        >>> fit(wide, (4, 4))[:, 0, 0].tolist()
        [0, 255, 0, 0]
    """
    height, width = (image.height, image.width) if isinstance(image, Image.Image) else image.shape[:2]
    if (height, width) == size:
        return pixels_of(image) if isinstance(image, Image.Image) else image
    down, across = _scale(height, width, size, how)
    if how == "letterbox":
        inner = max(1, round(down * height)), max(1, round(across * width))
        top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        inside = _resampled(image, inner, (0, 0, width, height))
        canvas = np.full((*size, inside.shape[2]), bars, np.uint8)
        canvas[top : top + inner[0], left : left + inner[1]] = inside
        return canvas
    top, left = (max(0.0, side - new / by) / 2 for side, new, by in ((height, size[0], down), (width, size[1], across)))
    return _resampled(image, size, (left, top, width - left, height - top))


def _scale(height: int, width: int, size: tuple[int, int], how: Fit) -> tuple[float, float]:
    """Return the vertical and horizontal scale factors of an image."""
    down, across = size[0] / height, size[1] / width
    if how in ("stretch", "exact"):
        return down, across
    both = min(down, across) if how == "letterbox" else max(down, across)
    return both, both


def _resampled(image: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """Resample the box (left, top, right, bottom) to a size, channel by channel unless greyscale or RGB."""
    if isinstance(image, np.ndarray):
        channels = image.shape[2]
        if channels not in (1, 3):
            return np.concatenate([_resampled(image[..., [one]], size, box) for one in range(channels)], axis=2)
        image = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = image.resize(size[::-1], Image.Resampling.BICUBIC, box=box, reducing_gap=REDUCING_GAP)
    return pixels_of(resized)
