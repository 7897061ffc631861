"""Decodes images of all formats to uint8 pixels, upright and without transparency; for the image cache."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from triptych.data.pixels.converting import WHITE, Colour, converted, has_alpha, opaque_array, pixels_of, strips
from triptych.data.pixels.opening import MAX_PIXELS, Picture, UndecodableImage, opened

Pixels = Image.Image | np.ndarray
"""A decoded image, grey or RGB; or an array, uint8 (H, W, C)."""


@dataclass(frozen=True)
class Measure:
    """The header of an image.

    Attributes:
        form: "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF" or "NPY".
        height: Height in pixels as returned by `decode`, after the rotation by EXIF data.
        width: Width in pixels, likewise.
        channels: 1 for a greyscale file, 3 for one with colours or a palette; for an array, its own number.
        bits: 16 for a file with 16 or more bits per channel, otherwise 8.
    """

    form: str
    height: int
    width: int
    channels: int
    bits: int = 8


def decode(
    source: Picture,
    *,
    channels: int | None = None,
    at_least: Callable[[int, int], tuple[int, int]] | None = None,
    background: Colour = WHITE,
    white: int = 65535,
    max_pixels: int = MAX_PIXELS,
    finish: Callable[[Pixels], np.ndarray] | None = None,
) -> np.ndarray:
    """Decode one image and rotate it upright by its EXIF data.

    JPEG, PNG, WebP, BMP, TIFF (the first page), GIF (the first frame), PPM and related formats, AVIF, HEIC (by the
    package pillow-heif), and NumPy arrays (`.npy`) of uint8, (H, W) or (H, W, C). Only arrays can have another number
    of channels than 1 or 3. The inks of a CMYK JPEG are assumed to be inverted, as in Adobe's files. Colour profiles
    are not applied.

    Args:
        source: The file, its bytes, a Pillow image, or an array of uint8.
        channels: 1 for greyscale (ITU-R 601 luma), 3 for RGB, or the required number of an array; None for the file's
            own number, as returned by `measure`.
        at_least: Maps an image's upright height and width to the required ones. A JPEG is then decoded at a half, a
            quarter or an eighth of its size if neither side becomes smaller than required: several times as fast.
        background: The colour behind transparent pixels.
        white: The 16-bit value that maps to 255, as do larger ones; 0 maps to 0. It is the same for all images, so
            that their brightness is comparable: 4095 suits a 12-bit camera. Floating-point images must be in [0, 1].
        max_pixels: Images with more pixels (height times width) are rejected before decoding.
        finish: Reduces the pixels to a smaller result, which is returned. Until then other threads decode only what
            also fits into memory, and the pixels are in memory once.

    Returns:
        uint8 (H, W, C), writable.

    Raises:
        UndecodableImage: It is missing, not a file, not an image, truncated, damaged, too large, or has other channels.

    Example:
        >>> import io
        >>> stream = io.BytesIO()
        >>> Image.new("LA", (4, 2)).save(stream, "PNG")  # fully transparent
        >>> pixels = decode(stream.getvalue())
        >>> pixels.shape, int(pixels.min())
        ((2, 4, 1), 255)
    """
    with opened(source, max_pixels) as image:
        if isinstance(image, np.ndarray):
            pixels = _with_channels(image, channels, background)
            return finish(pixels) if finish else pixels
        wanted = channels or _channels(image)
        if wanted not in (1, 3):
            raise UndecodableImage(f"has no {wanted} channels: only .npy files can have other than 1 or 3")
        mode = "L" if wanted == 1 else "RGB"
        if at_least and image.format == "JPEG":
            is_sideways = _orientation(image) >= 5
            image.draft(mode, at_least(*image.size) if is_sideways else at_least(*image.size[::-1])[::-1])
        image.load()
        orientation = _orientation(image)  # Pillow rotates a TIFF itself, and then drops this value
        whole = converted(image, mode, background=background, white=white)
        if whole is not image:
            image.close()  # releases its memory
        if orientation > 1:
            whole = whole.transpose(_TURNS[orientation])
        result = finish(whole) if finish else pixels_of(whole)
        whole.close()
        return result


def measure(source: Picture, *, max_pixels: int = MAX_PIXELS) -> Measure:
    """Read only the header of an image; raises as `decode`, unless only the pixels are damaged."""
    with opened(source, max_pixels) as image:
        if isinstance(image, np.ndarray):
            return Measure("NPY", *image.shape)
        # Pillow would decode a PNG to find EXIF data after its pixels, and swaps a TIFF's sides itself.
        known = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        width, height = image.size[::-1] if known and _orientation(image) >= 5 else image.size
        return Measure(image.format or "", height, width, _channels(image), _bits(image))


def looks_grey(source: Picture, *, max_pixels: int = MAX_PIXELS) -> bool:
    """Return whether an image is greyscale: by its file format, or else because its channels are equal.

    A JPEG is decoded at an eighth of its size. Raises as `decode`.
    """
    channels = measure(source, max_pixels=max_pixels).channels
    if channels != 3:
        return channels == 1
    compared = decode(source, at_least=lambda *_: (1, 1), max_pixels=max_pixels, finish=_equal_channels)
    return bool(compared.all())


def has_transparency(source: Picture, *, max_pixels: int = MAX_PIXELS) -> bool:
    """Return whether an image has transparent pixels; raises as `decode`."""
    with opened(source, max_pixels) as image:
        if isinstance(image, np.ndarray) or not has_alpha(image):
            return False
        return any(np.asarray(strip.convert("RGBA").getchannel("A")).min() < 255 for _, strip in strips(image))


def largest_value(source: Picture, *, max_pixels: int = MAX_PIXELS) -> int:
    """Return the largest value of a 16-bit greyscale image, and 0 for others; raises as `decode`."""
    with opened(source, max_pixels) as image:
        if isinstance(image, np.ndarray) or image.mode[0] != "I":
            return 0
        return max(int(np.asarray(strip).max()) for _, strip in strips(image))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes an image upright, by its EXIF orientation; values from 5 swap height and width."""


def _with_channels(pixels: np.ndarray, channels: int | None, background: Colour) -> np.ndarray:
    """Convert an array to greyscale or RGB; two and four channels are greyscale or RGB with alpha."""
    match pixels.shape[2], channels:
        case 2 | 4, 1 | 3:
            return opaque_array(pixels, channels, background)
        case 1, 3:
            return pixels.repeat(3, axis=2)
        case 3, 1:
            return np.array(Image.fromarray(pixels).convert("L"))[..., None]
        case found, wanted if wanted not in (None, found):
            raise UndecodableImage(f"has {found} channels, where {wanted} are expected")
    return pixels


def _equal_channels(pixels: Pixels) -> np.ndarray:
    """Return whether the channels of each strip of an RGB image are equal."""
    parts = (np.asarray(strip) for _, strip in strips(pixels)) if isinstance(pixels, Image.Image) else [pixels]
    return np.array([(part == part[..., :1]).all() for part in parts])


def _channels(image: Image.Image) -> int:
    """Return the number of channels of a file, by its Pillow mode."""
    return 1 if image.mode[0] in "1LIF" and image.mode != "LAB" else 3


def _bits(image: Image.Image) -> int:
    """Return the bits per channel in the file, by its raw mode: Pillow keeps 16 bits only for a single channel."""
    tiles = getattr(image, "tile", [])
    return 16 if image.mode[0] in "IF" or any(";16" in str(tile[3]) for tile in tiles if len(tile) > 3) else 8


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; damaged EXIF data do not reject an image."""
    try:
        found = image.getexif().get(0x0112)
    except Exception:  # Pillow's parser raises any error on damaged bytes
        return 1
    return found if found in _TURNS else 1
