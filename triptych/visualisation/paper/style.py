"""The look that all pictures share: type, colours, text that fits, and files that are whole; for this folder's figures.

Matplotlib is imported where it is used, through its object-oriented interface: no figure outlives its caller, and no
display is needed.
"""

import colorsys
import math
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
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


def blend(colour: str, share: float) -> str:
    """Mix a colour "#rrggbb" with white, of which it leaves nothing at a share of 1.

    Example:
        >>> blend("#0072b2", 1.0), blend("#0072b2", 0.5), blend("#0072b2", 0.0)
        ('#0072b2', '#80b8d8', '#ffffff')
    """
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (1 - share * (1 - part) for part in parts)
    return _hexadecimal((red, green, blue))


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

    Args:
        figure: Any Matplotlib figure.
        path: The file to write; its folder is made, and an older file of that name is replaced in one step.
    """
    png = figure_png(figure)
    with replacing(path) as temporary:
        temporary.write_bytes(png)


def figure_png(figure: "Figure", *, dots_per_inch: float | None = None, colours: int | None = None) -> bytes:
    """Return a figure as a PNG, to save it or to write it into a page.

    The file carries no date and no software version: the same picture is the same bytes.

    Args:
        figure: Any Matplotlib figure.
        dots_per_inch: Resolution; None is the figure's own, 300 for those of this folder, of which 150 draws half as
            many pixels across.
        colours: Most colours, up to 256, for a file a third as large: not seen on a chart, but on photographs. None
            keeps all.

    Returns:
        The bytes of the file.
    """
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    resolution = figure.dpi if dots_per_inch is None else dots_per_inch
    with house_style():
        figure.savefig(drawn, format="png", dpi=resolution, pil_kwargs={"compress_level": 0})
    with Image.open(drawn) as picture:
        opaque = picture.convert("RGB")
    if colours is not None or opaque.getcolors(256):
        opaque = opaque.quantize(colours or 256, dither=Image.Dither.NONE)
    opaque.save(packed, format="PNG", dpi=(resolution, resolution))
    return packed.getvalue()


def _hexadecimal(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
