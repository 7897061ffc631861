"""The picture of reconstructions, originals above what the decoder made of them, for TensorBoard."""

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.visualisation.checks import require_images

# In pixels of the picture.
_TILE = 96
_GAP = 4
_ROW_GAP = 16

_WHITE = 255


def reconstruction_grid(images: Tensor, reconstructions: Tensor, *, columns: int = 8) -> Tensor:
    """Lay out originals in rows on white, each directly above its reconstruction.

    Small images are enlarged by a whole factor, a pixel to a square, so that the longer side comes near 96 pixels.

    Args:
        images: Originals (B, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3), on any device.
        reconstructions: Their reconstructions, of the same shape; values beyond [0, 1] are clipped.
        columns: Most pairs in a row, at least 1.

    Returns:
        One RGB picture (3, H', W'), uint8, on the CPU, as TensorBoard's `add_image` takes it.

    Raises:
        ValueError: If the two are no images of one shape, or if there is less than one column.

    Example:
        >>> images = torch.zeros(3, 1, 28, 28)
        >>> reconstruction_grid(images, images, columns=2).shape
        torch.Size([3, 368, 180])
    """
    require_images({"images": images, "reconstructions": reconstructions})
    if columns < 1:
        raise ValueError(f"columns must be at least 1, but it is {columns}; give how many pairs may stand side by side")
    originals = F.pad(_tiles(images), (0, _GAP, 0, _GAP), value=_WHITE)
    pairs = torch.cat([originals, F.pad(_tiles(reconstructions), (0, _GAP, 0, _ROW_GAP), value=_WHITE)], dim=2)
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    pairs = F.pad(pairs, (0, 0, 0, 0, 0, 0, 0, rows * columns - len(pairs)), value=_WHITE)
    _, _, height, width = pairs.shape
    picture = pairs.view(rows, columns, 3, height, width).permute(2, 0, 3, 1, 4).reshape(3, rows * height, -1)
    return F.pad(picture[:, : _GAP - _ROW_GAP], (_GAP, 0, _GAP, 0), value=_WHITE)


def _tiles(images: Tensor) -> Tensor:
    """Turn images (B, C, H, W) in [0, 1] into enlarged uint8 RGB on the CPU."""
    factor = max(1, _TILE // max(images.shape[2:]))
    pixels = (images.detach().float().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return pixels.expand(-1, 3, -1, -1).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
