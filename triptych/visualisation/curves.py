"""Learning curves as small multiples, one chart per metric."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triptych.visualisation.paper.sheet import MARGIN, ROOM, Sheet, open_sheet
from triptych.visualisation.paper.style import INK, OTHER_CLASS, QUIET_INK, SAME_CLASS, class_colours, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOISY = "training"
"""The series that is measured on single batches: a smooth line, with the measured values faintly below it."""

# In pixels of the saved picture.
_COLUMNS = 3
_BETWEEN = 136
_LEFT = 92
"""Room left of a chart for the numbers of its axis."""
_HEADING = 46
_CHART = 340
_BELOW = 96
_KEY = 84

_TRAINING = "#8a97a3"
_SMOOTHING = 0.03
"""Deviation of the Gaussian that smooths, as a fraction of the series' length."""
_MARKED = 60
"""Maximum number of points with markers."""


def curves_figure(curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]) -> "Figure":
    """Draw metrics during training, one chart each, all over the same steps.

    The series named "training" is smoothed by a Gaussian, with the measured values faintly below it; the others are
    drawn as they are, each point marked while there are few. The last value of every series stands above its chart.

    Args:
        curves: For each metric, by its name, its series by their names: steps (n,) and values (n,). Values that are
            not finite are left out.

    Returns:
        A figure 2,000 pixels wide, three charts to a row.
    """
    drawn = {metric: {name: _points(*points) for name, points in series.items()} for metric, series in curves.items()}
    colours = _series_colours(drawn)
    columns = min(_COLUMNS, len(drawn)) if len(drawn) != 4 else 2
    rows = -(-len(drawn) // columns)
    pitch = _HEADING + _CHART + _BELOW
    width = (ROOM - _LEFT - (columns - 1) * _BETWEEN) / columns
    last = max((max(steps, default=0) for series in drawn.values() for steps, _ in series.values()), default=0) or 1
    with house_style():
        sheet = open_sheet(_KEY + rows * pitch - _BELOW + 60)
        _write_key(sheet, colours)
        for index, (metric, series) in enumerate(drawn.items()):
            row, column = divmod(index, columns)
            x, y = MARGIN + _LEFT + column * (width + _BETWEEN), _KEY + row * pitch
            axes = sheet.panel(x, y + _HEADING, width, _CHART)
            _draw_series(axes, series, colours)
            _set_limits(axes, series, last)
            _write_heading(sheet, metric, series, colours, x=x - _LEFT, y=y + 16, width=width + _LEFT)
            if index + columns >= len(drawn):
                axes.set_xlabel("step", color=QUIET_INK, size=6, labelpad=2)
    return sheet.figure


_Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def _points(steps: ArrayLike, values: ArrayLike) -> _Points:
    """Take the finite points of a series, in the order of their steps."""
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    order = order[np.isfinite(x[order]) & np.isfinite(y[order])]
    return x[order], y[order]


def _series_colours(drawn: Mapping[str, Mapping[str, _Points]]) -> dict[str, str]:
    names = list(dict.fromkeys(name for series in drawn.values() for name in series))
    others = [name for name in names if name != NOISY]
    colours = [SAME_CLASS, OTHER_CLASS, *class_colours(max(1, len(others)))]
    chosen = dict(zip(others, colours, strict=False))
    return {name: _TRAINING if name == NOISY else chosen[name] for name in names}


def _draw_series(axes: "Axes", series: Mapping[str, _Points], colours: Mapping[str, str]) -> None:
    for name, (steps, values) in series.items():
        colour, layer = colours[name], 2 if name == NOISY else 3
        if name == NOISY:
            axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(steps, _drawn(name, values), color=colour, linewidth=1.2, zorder=layer)
        if len(steps) == 1 or (name != NOISY and len(steps) <= _MARKED):
            axes.scatter(
                steps,
                values,
                s=20 if len(steps) <= _MARKED // 3 else 9,
                c=colour,
                edgecolors="white",
                linewidths=0.5,
                zorder=layer + 0.5,
                clip_on=False,
            )


def _drawn(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth a noisy series by a Gaussian window, which is truncated and renormalised at both ends."""
    deviation = _SMOOTHING * len(values)
    if name != NOISY or deviation < 0.3:
        return values
    radius = math.ceil(3 * deviation)
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    smooth = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    return np.asarray(smooth)


def _set_limits(axes: "Axes", series: Mapping[str, _Points], last: float) -> None:
    """Show all steps from zero on, and all that is drawn in full strength: the noise may leave the chart."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    values = np.concatenate([np.zeros(0), *(_drawn(name, values) for name, (_, values) in series.items())])
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set(xlim=(-0.01 * last, 1.02 * last), ylim=(low - room, high + room))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def _write_heading(
    sheet: Sheet,
    metric: str,
    series: Mapping[str, _Points],
    colours: Mapping[str, str],
    *,
    x: float,
    y: float,
    width: float,
) -> None:
    """Write a chart's name at its left, and the last values of its series, as they are drawn, at its right."""
    right = x + width
    for name, (_, values) in reversed(list(series.items())):
        last = f"{_drawn(name, values)[-1]:.3g}" if len(values) else "none"
        written = sheet.write(right, y, last, size=7, colour=colours[name], weight="bold", align="right")
        right -= written.get_window_extent().width + 24
    sheet.write(x, y, metric, size=7.5, weight="bold", width=max(80.0, right - x))


def _write_key(sheet: Sheet, colours: Mapping[str, str]) -> None:
    """Name the series, once for all charts."""
    from matplotlib.lines import Line2D

    x = float(MARGIN)
    for name, colour in colours.items():
        mark = "" if name == NOISY else "o"
        sheet.axes.add_line(Line2D([x, x + 52], [6, 6], color=colour, linewidth=1.4))
        sheet.axes.add_line(Line2D([x + 26], [6], color=colour, marker=mark, markersize=4.5))
        text = sheet.write(x + 68, 16, name, size=7, colour=INK, width=400)
        x += 68 + text.get_window_extent().width + 56
