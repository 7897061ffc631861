"""Headline numbers beside baselines, to see at a glance what a learned embedding is worth."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from triptych.visualisation.sheet import MARGIN, ROOM, RULE, open_sheet
from triptych.visualisation.style import QUIET_INK, SAME_CLASS, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_NAMES = 560
_VALUES = 150
_ROW = 74


def comparison_figure(
    values: Mapping[str, float], *, ours: Collection[str], title: str, subtitle: str = "", number: str = ".1%"
) -> "Figure":
    """Draw numbers as dots on a line each, best first, ours in blue with a bold name.

    These are dots and not bars, because the lines begin just below the least of the numbers, not at zero: small
    differences between good numbers can be seen.

    Args:
        values: Finite numbers by name, at least one; higher is better.
        ours: The names to put forward.
        title: One line above the chart; an empty one takes no room.
        subtitle: A smaller line below the title.
        number: How a value is written, as `format` takes it.

    Returns:
        A figure 2,000 pixels wide.

    Raises:
        ValueError: If there is no value, one is not finite, or a name of `ours` has none.
    """
    if not values or not all(math.isfinite(value) for value in values.values()):
        raise ValueError(
            f"values must be finite numbers by name, at least one, but they are {dict(values)}; leave out what was not "
            "measured"
        )
    if unknown := sorted(set(ours) - set(values)):
        raise ValueError(f"ours must be names of values, {list(values)}, but {unknown} are not; give them a value")
    ranked = sorted(values.items(), key=lambda item: -item[1])
    best, worst = ranked[0][1], ranked[-1][1]
    left, right = MARGIN + _NAMES, MARGIN + ROOM - _VALUES
    start = worst - 0.12 * (best - worst or abs(best) or 1.0)
    with house_style():
        sheet = open_sheet(len(ranked) * _ROW, title=title, subtitle=subtitle)
        for line, (name, value) in enumerate(ranked):
            is_ours = name in ours
            y = (line + 0.5) * _ROW
            x = left + (right - left) * (value - start) / (best - start)
            colour, weight = (SAME_CLASS, "bold") if is_ours else (QUIET_INK, "normal")
            sheet.axes.hlines(y, left, right, color=RULE, linewidth=0.8)
            sheet.axes.plot([x], [y], "o", color=colour, markersize=8 if is_ours else 6.5)
            named = sheet.write(left - 40, y, name, align="right", baseline="center_baseline", width=_NAMES - 40)
            valued = sheet.write(MARGIN + ROOM, y, format(value, number), align="right", baseline="center_baseline")
            named.set(weight=weight)
            valued.set(weight=weight, color=colour)
    return sheet.figure
