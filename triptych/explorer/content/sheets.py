"""Thumbnails of all images of a page, on a few large pictures: small images whole, photographs shrunk."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

from triptych.explorer.collection import Collection
from triptych.inspection.thumbnails import thumbnails

# N images, C channels, h/w thumbnail.

LONGEST = 48
"""Pixels of the longer side of a thumbnail."""
SIDE = 2048
"""Pixels of a sheet's side, at most."""
COLOURS = 3
"""Channels of a coloured picture; of images with others, the first ones are shown."""
QUALITY = 80
"""Of lossy WebP."""
EXACT = 16
"""Pixels of the longer side up to which grey thumbnails lose nothing: a page shows each of their pixels."""


@dataclass(frozen=True)
class Sheets:
    """Pictures of `columns` x `rows` cells each, filled row by row in the order of the images.

    Attributes:
        size: Height and width of a cell.
        columns: Cells in a row.
        rows: Rows of a sheet.
        pictures: WebP files.
    """

    size: tuple[int, int]
    columns: int
    rows: int
    pictures: tuple[bytes, ...]


def thumbnail_sheets(collection: Collection) -> Sheets:
    """Lay out the thumbnails of all images, without the border that `dataset.pad` adds."""
    return sheets_of(lambda start, end: collection.pixels(slice(start, end)), count=len(collection))


def sheets_of(pixels: Callable[[int, int], Tensor], *, count: int) -> Sheets:
    """Lay out the thumbnails of pictures.

    Args:
        pixels: Returns pictures by their first and last row, uint8 (n, C, H, W).
        count: How many there are, at least 1.
    """
    height, width = thumbnails(pixels(0, 1), longest=LONGEST).shape[2:]
    columns, rows = max(1, SIDE // width), max(1, SIDE // height)
    if count < columns * rows:
        columns = min(columns, int(np.ceil(np.sqrt(count * height / width))))
        rows = -(-count // columns)
    pictures = []
    for start in range(0, count, columns * rows):
        part = thumbnails(pixels(start, start + columns * rows), longest=LONGEST)
        pictures.append(_sheet(part, columns=columns, rows=rows))
    return Sheets((height, width), columns, rows, tuple(pictures))


def _sheet(images: Tensor, *, columns: int, rows: int) -> bytes:
    count, channels, height, width = images.shape
    cells = np.zeros((rows * columns, channels, height, width), np.uint8)
    cells[:count] = images.cpu().numpy()
    grid = cells.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(rows * height, columns * width, channels)
    written = BytesIO()
    if channels < COLOURS and max(height, width) <= EXACT:
        Image.fromarray(pixels[..., 0]).save(written, format="WEBP", lossless=True, method=4)
    else:
        picture = Image.fromarray(pixels[..., 0] if channels < COLOURS else pixels[..., :COLOURS])
        picture.save(written, format="WEBP", quality=QUALITY, method=4)
    return written.getvalue()
