"""The picture of training triplets, anchor, positive and negative, to see at a glance what a run learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from triptych.visualisation.checks import require_images, require_labels
from triptych.visualisation.style import (
    OTHER_CLASS,
    SAME_CLASS,
    fit_text,
    house_style,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Everything is measured in pixels of the saved picture: a whole number of them to an image's pixel keeps it crisp.
_SIDE = 270
_MARGIN = 80
_GAP = 44
_GUTTER = 120
_HEAD = 216
_CAPTION = 50
_ROW_GAP = 44
_FRAME = 9


def triplet_figure(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor,
    anchor_labels: Tensor,
    negative_labels: Tensor,
    *,
    classes: Sequence[str],
    title: str,
) -> "Figure":
    """Draw triplets, each as a line of three pictures; from four on, two lines stand side by side.

    The frames say what the loss is told: anchor and positive share a class and a colour, the negative has another.

    Args:
        anchors: Images (B, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3).
        positives: Images of the anchors' classes, of the same shape.
        negatives: Images of other classes, of the same shape.
        anchor_labels: Class numbers (B,) of the anchors and their positives.
        negative_labels: Class numbers (B,) of the negatives.
        classes: Names of the classes, by number.
        title: One line above the pictures.

    Returns:
        A figure in which, saved, a pixel of an image is a square of whole pixels; images of more than 270 pixels a
        side are made smaller instead.

    Raises:
        ValueError: If the images differ in shape or are no images, or if the labels do not fit images and classes.
    """
    require_images({"anchors": anchors, "positives": positives, "negatives": negatives})
    for name, labels in (("anchor_labels", anchor_labels), ("negative_labels", negative_labels)):
        require_labels(name, labels, count=len(anchors), num_classes=len(classes))
    columns = (
        ("Anchor", anchors, anchor_labels, SAME_CLASS),
        ("Positive", positives, anchor_labels, SAME_CLASS),
        ("Negative", negatives, negative_labels, OTHER_CLASS),
    )
    layout = _Layout.of(anchors)
    with house_style():
        figure = new_figure(layout.width, layout.height)
        sheet = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        sheet.set_axis_off()
        sheet.set(xlim=(0, layout.width), ylim=(layout.height, 0), autoscale_on=False)
        heading = sheet.text(_MARGIN - _FRAME, _MARGIN, title, size=10, weight="bold", va="top", parse_math=False)
        fit_text(heading, layout.width - 2 * (_MARGIN - _FRAME))
        for column, (role, images, labels, colour) in enumerate(columns):
            for block in range(layout.blocks):
                x, y = layout.corner(block, column)
                sheet.text(x - _FRAME, y - 30, role, size=7.5, color=colour, weight="bold", va="baseline")
            for index, label in enumerate(labels.tolist()):
                _draw(sheet, images[index], layout, layout.corner(index, column), name=classes[label], colour=colour)
    return figure


@dataclass(frozen=True)
class _Layout:
    """Where the pictures go: `blocks` lines of three side by side, filled row by row."""

    tile_height: int
    tile_width: int
    blocks: int
    rows: int

    @classmethod
    def of(cls, images: Tensor) -> "_Layout":
        count, _, height, width = images.shape
        longest = max(height, width)
        scale = _SIDE // longest if longest <= _SIDE else _SIDE / longest
        blocks = 1 if count < 4 else 2
        return cls(max(1, round(height * scale)), max(1, round(width * scale)), blocks, rows=-(-count // blocks))

    @property
    def width(self) -> int:
        return 2 * _MARGIN + self.blocks * self._block + (self.blocks - 1) * _GUTTER

    @property
    def height(self) -> int:
        return _HEAD + self.rows * self._pitch - _ROW_GAP + _MARGIN

    def corner(self, index: int, column: int) -> tuple[int, int]:
        """Say where the upper left corner of a triplet's picture is, from the left and from the top."""
        row, block = divmod(index, self.blocks)
        x = _MARGIN + block * (self._block + _GUTTER) + column * (self.tile_width + _GAP)
        return x, _HEAD + row * self._pitch

    @property
    def _block(self) -> int:
        return 3 * self.tile_width + 2 * _GAP

    @property
    def _pitch(self) -> int:
        return self.tile_height + _CAPTION + _ROW_GAP


def _draw(sheet: "Axes", image: Tensor, layout: _Layout, corner: tuple[int, int], *, name: str, colour: str) -> None:
    """Put one image on the sheet, with its frame and the name of its class."""
    from matplotlib.patches import Rectangle

    x, y = corner
    right, bottom = x + layout.tile_width, y + layout.tile_height
    # A filled square under the image, not an outline around it: strokes are moved to the pixel grid, areas are not.
    behind = (right - x + 2 * _FRAME, bottom - y + 2 * _FRAME)
    sheet.add_patch(Rectangle((x - _FRAME, y - _FRAME), *behind, facecolor=colour, edgecolor="none"))
    enlarged = layout.tile_width >= image.shape[-1]
    sheet.imshow(
        image.detach().float().clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).cpu().numpy(),
        extent=(x, right, bottom, y),
        aspect="auto",
        zorder=2,
        interpolation="nearest" if enlarged else "antialiased",
    )
    caption = sheet.text(x - _FRAME, bottom + _CAPTION, name, size=7, va="baseline", parse_math=False)
    fit_text(caption, layout.tile_width + 2 * _FRAME)
