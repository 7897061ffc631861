"""The canvas of a report's figures: a fixed width, and positions in pixels from the start of the content."""

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


@dataclass(frozen=True)
class Sheet:
    """A figure to draw on, at places counted from the left edge and from where the content begins, downwards.

    Attributes:
        figure: The figure.
        axes: An axes over all of it, whose units are pixels.
        height: Height of the figure.
    """

    figure: "Figure"
    axes: "Axes"
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
        bottom = self.height - MARGIN - y - height
        place = (x / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(place)
        for side, spine in axes.spines.items():
            spine.set(color=RULE, linewidth=0.6, visible=side in ("left", "bottom"))
        axes.tick_params(length=0, pad=5, labelsize=6, labelcolor=QUIET_INK)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        return axes


def open_sheet(height: float) -> Sheet:
    """Open a sheet for a content of so many pixels, to be called, and drawn upon, within `house_style`."""
    whole = round(height + 2 * MARGIN)
    figure = new_figure(WIDTH, whole)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH), ylim=(whole - MARGIN, -MARGIN), autoscale_on=False)
    return Sheet(figure, axes, whole)
