"""The look that all pictures share: type, colours, text that fits, and files that are whole; for this folder's figures.

Matplotlib is imported where it is used, through its object-oriented interface: no figure outlives its caller, and no
display is needed.
"""

import colorsys
import math
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DOTS_PER_INCH = 300
"""Resolution of every saved picture: what journals ask of images."""

INK = "#1f2328"
"""Titles and names."""
QUIET_INK = "#67707a"
"""Headings and remarks."""

SAME_CLASS = "#0072b2"
OTHER_CLASS = "#d55e00"
"""Blue and vermilion of Okabe and Ito's palette: told apart with every kind of colour vision."""

_PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)

_LIGHTNESSES = (0.55, 0.38, 0.68)
_SATURATION = 0.68

_SETTINGS = {"font.family": ["DejaVu Sans"], "font.size": 7.0, "text.color": INK}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house's type and nobody else's: a user's own Matplotlib settings wait until the block ends."""
    from matplotlib import style

    with style.context(["default", _SETTINGS]):
        yield


def new_figure(width: int, height: int) -> "Figure":
    """Open a figure of so many pixels, ready to draw and to measure text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def class_colours(count: int) -> list[str]:
    """Give each of `count` classes a colour of its own.

    Up to ten classes get Petroff's sequence, made for colour-vision deficiencies and for grey print (M. A. Petroff,
    "Accessible color sequences for data visualization", arXiv:2107.02270). From eleven on the hues are spread evenly
    over three lightnesses, in an order in which classes with neighbouring numbers differ clearly. No palette is safe
    for so many, and names written on the picture have to do the rest.

    Args:
        count: Number of classes, at least 1.

    Returns:
        Distinct colours as "#rrggbb".

    Example:
        >>> class_colours(3)
        ['#3f90da', '#ffa90e', '#bd1f01']
        >>> len(set(class_colours(100)))
        100
    """
    if count <= len(_PALETTE):
        return list(_PALETTE[:count])
    stride = next(number for number in range(round(0.618 * count), count) if math.gcd(number, count) == 1)
    places = [number * stride % count for number in range(count)]
    # Two places of the circle stay free, so that the last hue does not meet the first in the same lightness.
    return [
        _hexadecimal(colorsys.hls_to_rgb(place / (count + 2), _LIGHTNESSES[place % 3], _SATURATION)) for place in places
    ]


def fit_text(text: "Text", width: float) -> None:
    """Shorten a text, with an ellipsis, until it is at most `width` pixels wide in its figure."""
    whole = text.get_text()

    def is_too_wide(kept: int) -> bool:
        text.set_text(f"{whole[:kept].rstrip()}…")
        return text.get_window_extent().width > width

    if text.get_window_extent().width > width:
        kept = bisect_left(range(1, len(whole)), True, key=is_too_wide)
        text.set_text(f"{whole[:kept].rstrip()}…")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG, whole or not at all, at its own resolution.

    The file carries no date and no software version: the same picture is the same bytes.

    Args:
        figure: Any Matplotlib figure.
        path: The file to write; its folder is made, and an older file of that name is replaced in one step.
    """
    with house_style(), replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi="figure", metadata={"Software": None})


def _hexadecimal(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
