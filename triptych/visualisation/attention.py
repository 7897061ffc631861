"""Images under the encoder's attention maps."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.visualisation.paper.sheet import MARGIN, ROOM, WIDTH, Sheet, open_sheet
from triptych.visualisation.paper.style import QUIET_INK, house_style
from triptych.visualisation.paper.tiles import Tile, draw_image, tiles_across

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_ROW_GAP = 52
_KEY = 56

_COLUMNS = 8
_FINE = 96
"""Minimum width of an overlay in pixels, at most that of its tile: less than the tile keeps the file small."""
_COLOURS = "inferno"
"""Perceptually uniform, dark to light: readable with every kind of colour vision."""
_SHINE = 0.45
"""How brightly the image, in grey, shines through the colours."""


def attention_figure(images: Tensor, maps: Tensor) -> "Figure":
    """Draw images, and below each the same image in grey under the smooth colours of its attention map.

    The colours of each map go from nothing to its own largest share.

    Args:
        images: Images (B, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3).
        maps: The result of `ImageEncoder.attention_maps` (B, h, w), finite.

    Returns:
        A figure 2,000 pixels wide, eight images to a row.
    """
    columns = min(_COLUMNS, len(images))
    tile, between = tiles_across(images, columns, ROOM)
    overlays = _overlays(images, maps, tile)
    pitch = 2 * tile.height + between + _ROW_GAP
    with house_style():
        sheet = open_sheet(-(-len(images) // columns) * pitch - _ROW_GAP + _KEY)
        for index, (image, overlay) in enumerate(zip(images, overlays, strict=True)):
            row, column = divmod(index, columns)
            x, y = MARGIN + column * (tile.width + between), _KEY + row * pitch
            draw_image(sheet.axes, image, tile, x=x, y=y)
            draw_image(sheet.axes, overlay, tile, x=x, y=y + tile.height + between)
        _draw_key(sheet)
    return sheet.figure


def _overlays(images: Tensor, maps: Tensor, tile: Tile) -> Tensor:
    """Colour the grey images by their maps: (B, 3, H', W'), so fine that a map looks smooth on its tile."""
    from matplotlib import colormaps

    side = max(images.shape[2:])
    enlargement = max(tile.width, tile.height) // side or 1
    factor = next(
        part
        for part in range(1, enlargement + 1)
        if enlargement % part == 0 and (part * side >= _FINE or part == enlargement)
    )
    grey = images.detach().float().cpu().clamp(0, 1).mean(1)
    grey = grey.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
    shares = maps.detach().float().cpu()[:, None]
    smooth = F.interpolate(shares, size=grey.shape[1:], mode="bicubic", align_corners=False)[:, 0].clamp_min(0)
    level = smooth / smooth.amax((1, 2), keepdim=True).clamp_min(1e-12)
    colours = torch.from_numpy(colormaps[_COLOURS](level.numpy())[..., :3]).float()
    screened = 1 - (1 - 0.9 * colours) * (1 - _SHINE * grey[..., None])  # as two lights on one wall add up
    return screened.permute(0, 3, 1, 2)


def _draw_key(sheet: Sheet) -> None:
    """Show the colours, from no attention to an image's most, above the pictures at the right."""
    from matplotlib import colormaps

    right, wide = WIDTH - MARGIN, 260
    most = sheet.write(right, 18, "most attention", size=6, colour=QUIET_INK, align="right")
    end = right - most.get_window_extent().width - 16
    scale = colormaps[_COLOURS](torch.linspace(0, 1, wide).numpy())[None, :, :3]
    sheet.axes.imshow(scale, extent=(end - wide, end, 20, -6), aspect="auto", interpolation="nearest")
    sheet.write(end - wide - 16, 18, "none", size=6, colour=QUIET_INK, align="right")
