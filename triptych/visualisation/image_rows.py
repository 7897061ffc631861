"""Rows of images with words to them: reconstructions, samples, interpolations, traversals of a latent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.visualisation.paper.sheet import MARGIN, ROOM, open_sheet
from triptych.visualisation.paper.style import INK, QUIET_INK, house_style
from triptych.visualisation.paper.tiles import as_rgb, draw_image, tiles_across

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_ROW_GAP = 44
_NAMES = 220
_CAPTION = 42
_FRAME = 8


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One row of images with its text.

    Attributes:
        images: Images (n, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3).
        name: Left of the row.
        note: Smaller, below the name.
        captions: One below each image, or none.
        framed: The images, by number, with a frame: those that are given, where the others are made.
        joined: Whether the row follows the one above closely, as a reconstruction its original.
    """

    images: Tensor
    name: str = ""
    note: str = ""
    captions: Sequence[str] = ()
    framed: Sequence[int] = ()
    joined: bool = False


def image_rows_figure(rows: Sequence[ImageRow]) -> "Figure":
    """Draw rows of images below one another, all images at one size, with their words.

    Args:
        rows: At least one; their images are of the same size and channels.

    Returns:
        A figure 2,000 pixels wide, in which a pixel of a small image is a square of whole pixels.
    """
    left = MARGIN + (_NAMES if any(row.name or row.note for row in rows) else 0)
    tile, between = tiles_across(rows[0].images, max(len(row.images) for row in rows), MARGIN + ROOM - left)
    tops = [0]
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        gap = 0 if following is None else between if following.joined else _ROW_GAP
        tops.append(tops[-1] + tile.height + (_CAPTION if any(row.captions) else 0) + gap)
    with house_style():
        sheet = open_sheet(tops[-1])
        for row, y in zip(rows, tops, strict=False):
            middle = y + tile.height / 2 + (0 if row.note else 10)
            sheet.write(MARGIN, middle, row.name, weight="bold", width=_NAMES - 24)
            sheet.write(MARGIN, middle + 40, row.note, size=6, colour=QUIET_INK, width=_NAMES - 24)
            for number, image in enumerate(row.images):
                x = left + number * (tile.width + between)
                if number in row.framed:
                    for edge, colour in ((_FRAME, INK), (_FRAME // 2, "white")):
                        sheet.fill(x - edge, y - edge, tile.width + 2 * edge, tile.height + 2 * edge, colour)
                draw_image(sheet.axes, image, tile, x=x, y=y)
            for number, caption in enumerate(row.captions):
                place = (left + number * (tile.width + between) + tile.width / 2, y + tile.height + _CAPTION - 8)
                beside = [row.captions[other] for other in (number - 1, number + 1) if 0 <= other < len(row.captions)]
                room = (1 if any(beside) else 2) * (tile.width + between) - 10
                sheet.write(*place, caption, size=6, align="center", width=room)
    return sheet.figure


# In pixels of the picture.
_TILE = 96
_GAP = 4
_PAIR_GAP = 16
_PAIRS = 8

_WHITE = 255


def reconstruction_grid(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Lay out originals in rows on white, each directly above its reconstruction.

    Small images are enlarged by a whole factor, a pixel to a square, so that the longer side comes near 96 pixels.

    Args:
        images: Originals (B, C, H, W), float in [0, 1], on any device, see `as_rgb`.
        reconstructions: Their reconstructions, of the same shape; values beyond [0, 1] are clipped.

    Returns:
        One RGB picture (3, H', W'), uint8, on the CPU, as TensorBoard's `add_image` takes it.

    Example:
        >>> images = torch.zeros(3, 1, 28, 28)
        >>> reconstruction_grid(images, images).shape
        torch.Size([3, 180, 268])
    """
    originals = F.pad(_tiles(images), (0, _GAP, 0, _GAP), value=_WHITE)
    pairs = torch.cat([originals, F.pad(_tiles(reconstructions), (0, _GAP, 0, _PAIR_GAP), value=_WHITE)], dim=2)
    columns = min(_PAIRS, len(pairs))
    rows = -(-len(pairs) // columns)
    pairs = F.pad(pairs, (0, 0, 0, 0, 0, 0, 0, rows * columns - len(pairs)), value=_WHITE)
    _, _, height, width = pairs.shape
    picture = pairs.view(rows, columns, 3, height, width).permute(2, 0, 3, 1, 4).reshape(3, rows * height, -1)
    return F.pad(picture[:, : _GAP - _PAIR_GAP], (_GAP, 0, _GAP, 0), value=_WHITE)


def _tiles(images: Tensor) -> Tensor:
    """Turn images (B, C, H, W) in [0, 1] into enlarged uint8 RGB on the CPU."""
    factor = max(1, _TILE // max(images.shape[2:]))
    pixels = (images.detach().float().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return as_rgb(pixels).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
