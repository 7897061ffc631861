"""The style that all figures share: fonts, colours, text that fits, and PNG files.

Matplotlib is imported where it is used, through its object-oriented interface: no figure outlives its caller, and no
display is needed.
"""

import colorsys
import logging
import math
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DOTS_PER_INCH = 300
"""Resolution of every saved picture: what journals require of images."""

INK = "#1f2328"
"""Font size of titles and names."""
QUIET_INK = "#67707a"
"""Font size of headings and remarks."""

SAME_CLASS = "#0072b2"
OTHER_CLASS = "#d55e00"
"""Blue and vermilion of Okabe and Ito's palette, distinct with every kind of colour vision."""

_PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#ff77aa", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Petroff's ten colours, with a pink in the place of one of the two greys, which look alike in small dots."""

_LIGHTNESSES = (0.55, 0.38, 0.68)
_SATURATION = 0.68

_FONT = "DejaVu Sans"
"""The font that comes with Matplotlib."""
_FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Ethiopic"),
    *("Nirmala UI", "Noto Emoji", "Symbola", "Segoe UI Symbol", "FreeSans", "Unifont"),
)
"""Fonts for the characters that it lacks, as far as they are installed."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in this style, whatever a user's own Matplotlib settings are; they return when the block ends.

    A character that no font has is drawn as a box, without a warning for each: `missing_characters` finds them.
    """
    from matplotlib import style

    # It reports fallback fonts that have no bold face, for every text that is bold.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    settings = {"font.family": list(_families()), "font.size": 7.0, "text.color": INK}
    with style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


@cache
def _families() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return _FONT, *(name for name in _FALLBACKS if name in installed)


def missing_characters(texts: Iterable[str]) -> str:
    """Return the printable characters of texts that no font of the figures has, each once.

    Example:
        >>> missing_characters(["cat", "Käse \U00013000"]) == "\U00013000"
        True
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    wanted = {character for text in texts for character in text if character.isprintable() and ord(character) > 127}
    for family in _families() if wanted else ():
        found = get_font(findfont(FontProperties(family=family))).get_charmap()
        wanted = {character for character in wanted if ord(character) not in found}
    return "".join(sorted(wanted))


def new_figure(width: int, height: int) -> "Figure":
    """Open a figure of so many pixels, ready to draw and to measure text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def class_colours(count: int) -> list[str]:
    """Return a distinct colour for each of `count` classes.

    Up to ten classes get Petroff's sequence, made for colour-vision deficiencies (M. A. Petroff, "Accessible color
    sequences for data visualization", arXiv:2107.02270), with one of its greys replaced. From eleven on
    the hues are spread evenly over three lightnesses, in an order in which classes with neighbouring numbers differ
    clearly. No palette is safe for so many classes: figures name them too.

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
    """Mix a colour "#rrggbb" with white, which becomes white at a share of 1.

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
    """Write a figure as a PNG atomically, at its own resolution.

    Args:
        figure: Any Matplotlib figure.
        path: The file to write; its folder is created, and an existing file is replaced atomically.
    """
    png = figure_png(figure)
    with replacing(path) as temporary:
        temporary.write_bytes(png)


def figure_png(figure: "Figure") -> bytes:
    """Return a figure as a PNG, at its own resolution, to save it or to write it into a page.

    The file carries no date and no software version: the same figure gives the same bytes.

    Returns:
        The bytes of the file.
    """
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    with house_style():
        figure.savefig(drawn, format="png", dpi=figure.dpi, pil_kwargs={"compress_level": 0})
    with Image.open(drawn) as picture:
        opaque = picture.convert("RGB")
    if opaque.getcolors(256):
        opaque = opaque.quantize(256, dither=Image.Dither.NONE)
    opaque.save(packed, format="PNG", dpi=(figure.dpi, figure.dpi))
    return packed.getvalue()


def _hexadecimal(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
