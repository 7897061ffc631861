"""The figure of training triplets: anchor, positive and negative."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from triptych.visualisation.paper.style import OTHER_CLASS, QUIET_INK, SAME_CLASS, fit_text, house_style, new_figure
from triptych.visualisation.paper.tiles import Tile, draw_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_MARGIN = 80
_GAP = 44
_GUTTER = 120
_TITLE = 82
_ROLES = 54
_CAPTION = 50
_BETWEEN = 16
_FOR_BOTH = 240
"""Width of a picture with room above it for its role and the word "distance"."""
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
    distances: Tensor | None = None,
) -> "Figure":
    """Draw triplets, each as a line of three pictures; from four on, two lines stand side by side.

    The frames show the labels: anchor and positive share a class and a colour, the negative has another.

    Args:
        anchors: Images (B, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3).
        positives: Images of the anchors' classes, of the same shape.
        negatives: Images of other classes, of the same shape.
        anchor_labels: Class numbers (B,) of the anchors and their positives.
        negative_labels: Class numbers (B,) of the negatives.
        classes: Names of the classes, by number.
        title: One line above the pictures; an empty one takes no room.
        distances: How far each anchor's embedding is from its positive's and from its negative's (B, 2), to be written
            below them.

    Returns:
        A figure in which, saved, a pixel of an image is a square of whole pixels; images of more than 270 pixels a
        side are made smaller instead.
    """
    columns = (
        ("Anchor", anchors, anchor_labels, SAME_CLASS, None),
        ("Positive", positives, anchor_labels, SAME_CLASS, 0),
        ("Negative", negatives, negative_labels, OTHER_CLASS, 1),
    )
    layout = _Layout(Tile.of(anchors), len(anchors), has_title=bool(title))
    with house_style():
        figure = new_figure(layout.width, layout.height)
        sheet = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        sheet.set_axis_off()
        sheet.set(xlim=(0, layout.width), ylim=(layout.height, 0), autoscale_on=False)
        heading = sheet.text(_MARGIN - _FRAME, _MARGIN, title, size=10, weight="bold", va="top", parse_math=False)
        fit_text(heading, layout.width - 2 * (_MARGIN - _FRAME))
        for column, (role, images, labels, colour, which) in enumerate(columns):
            for block in range(layout.blocks):
                x, y = layout.corner(block, column)
                sheet.text(x - _FRAME, y - 30, role, size=7.5, color=colour, weight="bold", va="baseline")
                if distances is not None and which is not None and layout.tile.width >= _FOR_BOTH:
                    right = x + layout.tile.width + _FRAME
                    sheet.text(right, y - 30, "distance", size=6, color=QUIET_INK, ha="right", va="baseline")
            for index, label in enumerate(labels.tolist()):
                x, y = layout.corner(index, column)
                draw_image(sheet, images[index], layout.tile, x=x, y=y, frame=colour, frame_width=_FRAME)
                distance = "" if distances is None or which is None else f"{float(distances[index, which]):.2f}"
                _write_caption(sheet, classes[label], distance, layout.tile, x=x, y=y, colour=colour)
    return figure


@dataclass(frozen=True)
class _Layout:
    """Positions of the pictures of triplets: `blocks` lines of three side by side, filled row by row."""

    tile: Tile
    count: int
    has_title: bool

    @property
    def blocks(self) -> int:
        return 1 if self.count < 4 else 2

    @property
    def width(self) -> int:
        return 2 * _MARGIN + self.blocks * self._block + (self.blocks - 1) * _GUTTER

    @property
    def height(self) -> int:
        return self._head - (-self.count // self.blocks) * self._pitch - _ROW_GAP + _MARGIN

    def corner(self, index: int, column: int) -> tuple[int, int]:
        """Return the upper left corner of a triplet's picture, from the left and from the top."""
        row, block = divmod(index, self.blocks)
        x = _MARGIN + block * (self._block + _GUTTER) + column * (self.tile.width + _GAP)
        return x, self._head + row * self._pitch

    @property
    def _head(self) -> int:
        return _MARGIN + _ROLES + (_TITLE if self.has_title else 0)

    @property
    def _block(self) -> int:
        return 3 * self.tile.width + 2 * _GAP

    @property
    def _pitch(self) -> int:
        return self.tile.height + _CAPTION + _ROW_GAP


def _write_caption(sheet: "Axes", name: str, distance: str, tile: Tile, *, x: int, y: int, colour: str) -> None:
    """Write the name of the class below a picture, as far as it fits beside the distance."""
    bottom = y + tile.height + _CAPTION
    number = sheet.text(x + tile.width + _FRAME, bottom, distance, size=7, ha="right", va="baseline", color=colour)
    caption = sheet.text(x - _FRAME, bottom, name, size=7, va="baseline", parse_math=False)
    taken = number.get_window_extent().width + _BETWEEN if distance else 0
    fit_text(caption, tile.width + 2 * _FRAME - taken)
