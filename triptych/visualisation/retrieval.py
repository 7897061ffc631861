"""The figure of retrieval: queries with their nearest neighbours, same and other classes marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from triptych.visualisation.paper.sheet import MARGIN, ROOM, WIDTH, Sheet, open_sheet
from triptych.visualisation.paper.style import OTHER_CLASS, QUIET_INK, SAME_CLASS, house_style
from triptych.visualisation.paper.tiles import Tile, draw_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_AFTER_QUERY = 52
_GAP = 24
_FRAME = 7
_HEADING = 60
_CAPTION = 44
_ROW_GAP = 28
_BADGE = 40

_QUERY = "#98a2ab"


def retrieval_figure(
    queries: Tensor,
    neighbours: Tensor,
    query_labels: Tensor,
    neighbour_labels: Tensor,
    *,
    classes: Sequence[str],
) -> "Figure":
    """Draw each query with its nearest neighbours, nearest first, in a row.

    Neighbours of the query's class are framed in blue. The others are framed in vermilion, crossed out in a corner, and
    have the name of their class below.

    Args:
        queries: Images (Q, C, H, W), float in [0, 1], grey (C = 1) or RGB (C = 3).
        neighbours: Images (Q, R, C, H, W) found for each query.
        query_labels: Class numbers (Q,).
        neighbour_labels: Class numbers (Q, R).
        classes: Names of the classes, by number.

    Returns:
        A figure 2,000 pixels wide, in which a pixel of a small image is a square of whole pixels.
    """
    column = (ROOM - _AFTER_QUERY) // (1 + neighbours.shape[1])
    tile = Tile.of(queries, side=column - _GAP)
    pitch = tile.height + _CAPTION + _ROW_GAP
    with house_style():
        sheet = open_sheet(_HEADING + len(queries) * pitch - _ROW_GAP)
        _write_headings(sheet, neighbours.shape[1], x=MARGIN + column + _AFTER_QUERY)
        for row, label in enumerate(query_labels.tolist()):
            y = _HEADING + row * pitch
            draw_image(sheet.axes, queries[row], tile, x=MARGIN + _FRAME, y=y, frame=_QUERY, frame_width=_FRAME)
            name = (MARGIN, y + tile.height + _CAPTION, classes[label])
            sheet.write(*name, size=6, weight="bold", width=column + _AFTER_QUERY - _GAP)
            for rank, other in enumerate(neighbour_labels[row].tolist()):
                x = MARGIN + _FRAME + (rank + 1) * column + _AFTER_QUERY
                colour = SAME_CLASS if other == label else OTHER_CLASS
                draw_image(sheet.axes, neighbours[row, rank], tile, x=x, y=y, frame=colour, frame_width=_FRAME)
                if other != label:
                    _cross_out(sheet, x=x + tile.width + _FRAME, y=y - _FRAME, side=min(_BADGE, tile.width // 2))
                    name = (x - _FRAME, y + tile.height + _CAPTION, classes[other])
                    sheet.write(*name, size=6, colour=OTHER_CLASS, width=column - 16)
    return sheet.figure


def _write_headings(sheet: Sheet, count: int, *, x: float) -> None:
    """Write what the columns are, and, at the right, what the frames mean."""
    sheet.write(MARGIN, 22, "Query", size=7.5, weight="bold")
    heading = f"{count} nearest neighbours, nearest first" if count > 1 else "Nearest neighbour"
    sheet.write(x, 22, heading, size=7.5, weight="bold")
    right = float(WIDTH - MARGIN)
    for name, colour in (("other class", OTHER_CLASS), ("same class", SAME_CLASS)):
        text = sheet.write(right, 22, name, size=6.5, colour=QUIET_INK, align="right")
        right -= text.get_window_extent().width + 16
        sheet.fill(right - 34, -8, 34, 34, colour)
        if colour == OTHER_CLASS:
            _cross_out(sheet, x=right, y=-8, side=34)
        right -= 34 + 44


def _cross_out(sheet: Sheet, *, x: float, y: float, side: float) -> None:
    """Put a cross into the upper right corner at a place: other classes are visible without colours too."""
    sheet.fill(x - side, y, side, side, OTHER_CLASS, layer=3)
    inner = 0.28 * side
    left, right, top, bottom = x - side + inner, x - inner, y + inner, y + side - inner
    for ends in ((top, bottom), (bottom, top)):
        sheet.axes.plot([left, right], ends, color="white", linewidth=1.1, solid_capstyle="round", zorder=4)
