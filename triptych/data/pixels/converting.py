"""Converts images of all Pillow modes to 8-bit greyscale or RGB, strip by strip, so that only one copy is in memory.

For `decoding.py`. Converting the whole image would need three copies of an image of 88 megapixels, 350 MB each.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from triptych.data.pixels.opening import UndecodableImage

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
WHITE: Colour = (255, 255, 255)

STRIP = 1 << 22
"""Number of pixels that are converted at a time."""


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Divide an image into strips of whole rows, each with its first row."""
    width, height = image.size
    rows = max(1, STRIP // width)
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def converted(image: Image.Image, mode: str, *, background: Colour = WHITE, white: int = 65535) -> Image.Image:
    """Convert an image to greyscale or RGB, without transparency.

    Args:
        image: An image of any mode, returned unchanged if there is nothing to convert.
        mode: "L" or "RGB".
        background: The colour behind transparent pixels.
        white: The 16-bit value that maps to 255, as do larger ones.

    Raises:
        UndecodableImage: Its values are out of range.
    """
    if image.mode == mode and not has_alpha(image):
        return image
    if image.mode[0] in "IF":
        _check_values(image)
    result = Image.new(mode, image.size)
    for top, strip in strips(image):
        result.paste(_opaque(_eight_bits(strip, white), background).convert(mode), (0, top))
    return result


def pixels_of(image: Image.Image) -> np.ndarray:
    """Copy a greyscale or RGB image into an array, uint8 (H, W, C)."""
    channels = len(image.getbands())
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    for top, strip in strips(image):
        pixels[top : top + strip.height] = np.asarray(strip).reshape(strip.height, image.width, channels)
    return pixels


def has_alpha(image: Image.Image) -> bool:
    """Return whether an image can have transparent pixels."""
    return image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info


def opaque_array(pixels: np.ndarray, channels: int, background: Colour) -> np.ndarray:
    """Convert an array with two or four channels, greyscale or RGB with alpha, to greyscale or RGB."""
    return pixels_of(converted(Image.fromarray(pixels), "L" if channels == 1 else "RGB", background=background))


def _check_values(image: Image.Image) -> None:
    """Reject values outside the range of 16-bit greyscale and floating-point images."""
    ranges = np.array([(values.min(), values.max()) for values in (np.asarray(strip) for _, strip in strips(image))])
    low, high = ranges[:, 0].min(), ranges[:, 1].max()
    most = 1 if image.mode == "F" else 65535
    if not (low >= 0 and high <= most):  # true of NaN too
        raise UndecodableImage(f"has values from {low:g} to {high:g}, where 0 to {most} is expected of its kind")


def _eight_bits(image: Image.Image, white: int) -> Image.Image:
    """Scale 16-bit greyscale and floating-point images to 8 bits, with the same scale for all images."""
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image)
    if image.mode == "F":
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    capped = np.minimum(values, white).astype(np.uint32)
    return Image.fromarray(((capped * 255 + white // 2) // white).astype(np.uint8))


def _opaque(image: Image.Image, background: Colour) -> Image.Image:
    """Composite an image with transparent pixels over the background."""
    if image.mode == "LAB":  # Pillow converts it only to RGB
        return image.convert("RGB")
    if not has_alpha(image):
        return image
    canvas = Image.new("RGB", image.size, background)
    layer = image.convert("RGBA")
    canvas.paste(layer, mask=layer)
    return canvas
