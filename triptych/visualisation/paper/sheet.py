"""The paper of a report's figures: one width, a head, and places in pixels from where the content begins."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.visualisation.paper.style import INK, QUIET_INK, fit_text, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# All in pixels of the saved picture.
WIDTH = 2000
"""Width of every figure of a report: 1,000 pixels of a page on a screen that has two for one."""
MARGIN = 72
ROOM = WIDTH - 2 * MARGIN
"""Width between the margins."""

RULE = "#d0d5da"
"""Axes and frames."""
GRID = "#eceff1"
"""Lines behind a chart."""

_TITLE_TOP = 66
_TITLE_LINE = 64
_SUBTITLE_LINE = 44
_HEAD_GAP = 30


@dataclass(frozen=True)
class Sheet:
    """A figure to draw on, at places counted from the left edge and from where the content begins, downwards.

    Attributes:
        figure: The figure, with its head written.
        axes: An axes over all of it, whose units are pixels.
        top: Height of the head.
        height: Height of the figure.
    """

    figure: "Figure"
    axes: "Axes"
    top: int
    height: int

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 7.0,
        colour: str = INK,
        weight: str = "normal",
        align: str = "left",
        baseline: str = "baseline",
        width: float | None = None,
    ) -> "Text":
        """Write a text at a place, and shorten it where it is wider than `width`."""
        written = self.axes.text(x, y, text, ha=align, va=baseline, parse_math=False)
        written.set(size=size, color=colour, weight=weight)
        if width is not None:
            fit_text(written, width)
        return written

    def fill(self, x: float, y: float, width: float, height: float, colour: str, *, layer: float = 1) -> None:
        """Fill a rectangle, its upper left corner at a place."""
        from matplotlib.patches import Rectangle

        self.axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="none", zorder=layer))

    def panel(self, x: float, y: float, width: float, height: float) -> "Axes":
        """Open the axes of a chart, its upper left corner at a place: two quiet rules, lines behind, no ticks."""
        bottom = self.height - self.top - y - height
        place = (x / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(place)
        for side, spine in axes.spines.items():
            spine.set(color=RULE, linewidth=0.6, visible=side in ("left", "bottom"))
        axes.tick_params(length=0, pad=5, labelsize=6, labelcolor=QUIET_INK)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        return axes


def open_sheet(height: float, *, title: str, subtitle: str) -> Sheet:
    """Open a sheet for a content of so many pixels, and write its head; a line that is empty takes no room.

    To be called, and drawn upon, within `house_style`.
    """
    head = (_TITLE_LINE if title else 0) + (_SUBTITLE_LINE if subtitle else 0)
    top = _TITLE_TOP + head + _HEAD_GAP if head else MARGIN
    whole = round(top + height + MARGIN)
    figure = new_figure(WIDTH, whole)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH), ylim=(whole - top, -top), autoscale_on=False)
    sheet = Sheet(figure, axes, top, whole)
    y = _TITLE_TOP - top
    if title:
        sheet.write(MARGIN, y, title, size=10, weight="bold", baseline="top", width=ROOM)
        y += _TITLE_LINE
    if subtitle:
        sheet.write(MARGIN, y, subtitle, colour=QUIET_INK, baseline="top", width=ROOM)
    return sheet
