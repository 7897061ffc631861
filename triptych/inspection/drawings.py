"""Distinguishes drawings from photographs: strokes on a plain background, and areas of one tone; for `flips.py`."""

import numpy as np

BACKGROUND = 0.7
"""Smallest share of an image that its background covers."""
TWO_TONED = 0.9
"""Smallest share of the pixels that are either background or stroke."""
THICKEST = 0.1
"""Largest width of a stroke, as a fraction of the image side."""
NEAR = 0.1
"""Largest difference of two backgrounds, or of two pixels of one background, as a fraction of the tonal range."""
EQUAL = 1
"""Grey levels, of 255, by which neighbouring pixels of an area of one tone differ at most."""
FLAT = 0.4
"""Least share of equal neighbours in images with flat areas: 0.4 to 0.8 in icons, 0.1 to 0.3 in photographs."""


def drawn_in_strokes(images: np.ndarray) -> bool:
    """Check whether most grey images (N, S, S), from 0 to 255, are strokes of one tone on a plain background.

    Example:
        >>> page = np.full((1, 32, 32), 255.0)
        >>> page[0, 15:17, 4:28] = 0
        >>> drawn_in_strokes(page), drawn_in_strokes(255 - page), drawn_in_strokes(np.tile(np.arange(32.0), (1, 32, 1)))
        (True, True, False)
    """
    if not len(images):
        return False
    pixels = images.astype(np.float32) / 255
    edge = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    background = np.median(edge, axis=1)
    if np.median(abs(background - np.median(background))) > NEAR:
        return False
    distance = abs(pixels - background[:, None, None])
    reach = distance.max((1, 2))
    ink = distance > reach[:, None, None] / 2
    is_plain = (distance <= NEAR).mean((1, 2)) >= BACKGROUND
    two_toned = ((distance <= 0.2 * reach[:, None, None]) | (distance >= 0.6 * reach[:, None, None])).mean((1, 2))
    # An area divided by half the length of its outline is the width of the stroke that fills it.
    outline = (ink[:, 1:] != ink[:, :-1]).sum((1, 2)) + (ink[:, :, 1:] != ink[:, :, :-1]).sum((1, 2))
    width = 2 * ink.sum((1, 2)) / np.maximum(outline, 1) / pixels.shape[1]
    is_drawn = (reach > 2 * NEAR) & is_plain & (two_toned >= TWO_TONED) & (width <= THICKEST)
    return bool(is_drawn.mean() > 0.5)


def has_flat_areas(images: np.ndarray) -> bool:
    """Check whether most grey images (N, S, S), from 0 to 255, consist of areas of one tone to a large part.

    Example:
        >>> square = np.zeros((1, 32, 32))
        >>> square[0, 8:24, 8:24] = 200
        >>> has_flat_areas(square), has_flat_areas(np.random.default_rng(0).integers(0, 256, (1, 32, 32)))
        (True, False)
    """
    pixels = images.astype(np.float32)
    across, down = (abs(np.diff(pixels, axis=axis)) <= EQUAL for axis in (2, 1))
    flat = (across.mean((1, 2)) + down.mean((1, 2))) / 2
    return bool((flat >= FLAT).mean() > 0.5) if len(images) else False
