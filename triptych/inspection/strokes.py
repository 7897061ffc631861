"""Whether images are drawn or written in thin strokes on a plain ground, as text is; for `flips.py`."""

import numpy as np

PLAIN = 0.7
"""Share of an image that its ground covers, at least."""
TWO_TONED = 0.9
"""Share of the pixels that are either ground or ink, at least."""
THICKEST = 0.1
"""Width of a stroke, as a share of the image's side, at most."""
NEAR = 0.1
"""Of the range from black to white: how much two grounds, or two pixels of one ground, may differ."""


def drawn_in_strokes(images: np.ndarray) -> bool:
    """Tell whether most grey images (N, S, S), from 0 to 255, are strokes of one tone on one plain ground.

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
    ground = np.median(edge, axis=1)
    if np.median(abs(ground - np.median(ground))) > NEAR:
        return False
    distance = abs(pixels - ground[:, None, None])
    reach = distance.max((1, 2))
    ink = distance > reach[:, None, None] / 2
    is_plain = (distance <= NEAR).mean((1, 2)) >= PLAIN
    two_toned = ((distance <= 0.2 * reach[:, None, None]) | (distance >= 0.6 * reach[:, None, None])).mean((1, 2))
    # An area divided by half the length of its outline is the width of the stroke that fills it.
    outline = (ink[:, 1:] != ink[:, :-1]).sum((1, 2)) + (ink[:, :, 1:] != ink[:, :, :-1]).sum((1, 2))
    width = 2 * ink.sum((1, 2)) / np.maximum(outline, 1) / pixels.shape[1]
    is_drawn = (reach > 2 * NEAR) & is_plain & (two_toned >= TWO_TONED) & (width <= THICKEST)
    return bool(is_drawn.mean() > 0.5)
