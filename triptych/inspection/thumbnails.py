"""Thumbnails, and many of them in one picture: for the map of embeddings, the projector and comparisons of pixels."""

import math
from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.data.pixels.mapped import Images, parts


@dataclass(frozen=True)
class SpriteSheet:
    """Thumbnails side by side, row by row.

    Attributes:
        picture: An image file: PNG of grey images; JPEG of coloured ones, where PNG would take five times the bytes.
        mime_type: Which of the two.
        columns: Thumbnails in a row.
        width: Of a thumbnail, in pixels.
        height: Likewise.
    """

    picture: bytes
    mime_type: str
    columns: int
    width: int
    height: int


def thumbnails(images: Images, *, longest: int) -> Tensor:
    """Shrink uint8 images (N, C, H, W) until no side has more than `longest` pixels; small ones stay as they are.

    Example:
        >>> thumbnails(torch.zeros(2, 3, 96, 64, dtype=torch.uint8), longest=48).shape
        torch.Size([2, 3, 48, 32])
    """
    factor = longest / max(images.shape[2:])
    if factor >= 1:
        return images[:]
    size = [max(1, round(side * factor)) for side in images.shape[2:]]
    # By parts: as floats, all of them at once would take four times their memory.
    shrunk = (F.interpolate(part.float(), size=size, mode="area") for part in parts(images, 1024))
    return torch.cat([part.round().byte() for part in shrunk])


def sprite_sheet(images: Tensor) -> SpriteSheet:
    """Lay out uint8 images (N, C, H, W), N at least 1, as nearly in a square as their number allows.

    Of more than three channels the first three are shown, of two the first.
    """
    from PIL import Image

    images = images[:, : 3 if images.shape[1] >= 3 else 1]
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    filled = F.pad(images.cpu(), (0, 0, 0, 0, 0, 0, 0, rows * columns - count))
    sheet = filled.view(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    pixels = sheet.reshape(rows * height, columns * width, channels).numpy()
    written = BytesIO()
    if channels == 1:
        Image.fromarray(pixels[:, :, 0]).save(written, format="PNG", optimize=True)
        return SpriteSheet(written.getvalue(), "image/png", columns, width, height)
    # Without chroma subsampling, which would mix the colours of neighbours.
    Image.fromarray(pixels).save(written, format="JPEG", quality=85, subsampling=0)
    return SpriteSheet(written.getvalue(), "image/jpeg", columns, width, height)


def data_uri(image: Tensor, *, longest: int) -> str:
    """Return one uint8 image (C, H, W) as a data URI, shrunk until no side has more than `longest` pixels."""
    sheet = sprite_sheet(thumbnails(image[None], longest=longest))
    return f"data:{sheet.mime_type};base64,{b64encode(sheet.picture).decode()}"
