"""Images on a sheet: their size, so that pixels stay sharp, and their frames."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In pixels of the saved picture.
_LARGEST = 270
_GAPS = (12, 28)
"""The least and the widest gap between images side by side."""


@dataclass(frozen=True)
class Tile:
    """The size, in pixels of the saved picture, at which the images of a figure are drawn.

    Attributes:
        width: Of every image.
        height: Of every image.
        enlarged: Whether a pixel of an image is a square of one or more whole pixels.
    """

    width: int
    height: int
    enlarged: bool

    @classmethod
    def of(cls, images: Tensor, *, side: int = _LARGEST) -> "Tile":
        """Choose the size for images (..., H, W), the longer side at most `side`, and never more than 270 pixels.

        Example:
            >>> import torch
            >>> Tile.of(torch.zeros(1, 28, 28), side=100)
            Tile(width=84, height=84, enlarged=True)
            >>> Tile.of(torch.zeros(3, 300, 600), side=100)
            Tile(width=100, height=50, enlarged=False)
        """
        height, width = images.shape[-2:]
        longest, side = max(height, width), max(1, min(side, _LARGEST))
        scale = side // longest if longest <= side else side / longest
        return cls(max(1, round(width * scale)), max(1, round(height * scale)), enlarged=longest <= side)


def tiles_across(images: Tensor, count: int, width: int) -> tuple[Tile, int]:
    """Choose the size of `count` images side by side, and the gap between them, to fill a width as far as they can.

    Example:
        >>> import torch
        >>> tiles_across(torch.zeros(1, 28, 28), 8, 1000)
        (Tile(width=112, height=112, enlarged=True), 14)
    """
    least, widest = _GAPS
    tile = Tile.of(images, side=(width + least) // count - least)
    return tile, min(widest, max(least, (width - count * tile.width) // max(1, count - 1)))


def as_rgb(images: Tensor) -> Tensor:
    """Return images (..., C, H, W) as RGB: grey ones three times, of more than three channels the first three.

    Example:
        >>> import torch
        >>> [as_rgb(torch.zeros(2, channels, 8, 8)).shape[1] for channels in (1, 2, 3, 5)]
        [3, 3, 3, 3]
    """
    shown = images[..., :3, :, :] if images.shape[-3] >= 3 else images[..., :1, :, :]
    return shown.expand(*shown.shape[:-3], 3, -1, -1)


def draw_image(
    axes: "Axes", image: Tensor, tile: Tile, *, x: float, y: float, frame: str | None = None, frame_width: float = 0
) -> None:
    """Put an image (C, H, W) on axes whose units are pixels, downwards, its upper left corner at x and y.

    Args:
        axes: The sheet.
        image: Of any channels, see `as_rgb`, float; values beyond [0, 1] are clipped.
        tile: The size.
        x: Whole pixels from the left.
        y: Whole pixels downwards.
        frame: Colour of a frame around the image, if any.
        frame_width: How far the frame reaches beyond the image.
    """
    from matplotlib.patches import Rectangle

    if frame is not None:
        # A filled square under the image, not an outline around it: strokes are moved to the pixel grid, areas are not.
        behind = (tile.width + 2 * frame_width, tile.height + 2 * frame_width)
        axes.add_patch(Rectangle((x - frame_width, y - frame_width), *behind, facecolor=frame, edgecolor="none"))
    axes.imshow(
        as_rgb(image.detach().float().clamp(0, 1)).permute(1, 2, 0).cpu().numpy(),
        extent=(x, x + tile.width, y + tile.height, y),
        aspect="auto",
        zorder=2,
        interpolation="nearest" if tile.enlarged else "antialiased",
    )
