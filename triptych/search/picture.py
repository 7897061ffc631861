"""A picture of a query and its matches, with classes and similarities."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from triptych.errors import SearchError
from triptych.search.contract import Match
from triptych.text import terminal_text

SIDE = 160
GAP = 16
LINE = 20
ACROSS = 5
INK, QUIET_INK, PAPER = "#1c2733", "#5b6770", "#ffffff"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
MATCH, NO_MATCH = "#1b7f4b", "#c0392b"
"""Frames of images above and below the threshold; the latter are also crossed out."""


def search_picture(query: Path, matches: Sequence[Match]) -> Image.Image:
    """Draw a query and its matches, nearest first, five in a row.

    Args:
        query: File of the query.
        matches: The matches; the file of each is its `path` or its id. A missing file is drawn as an empty frame.

    Raises:
        SearchError: The query cannot be opened.
    """
    tile = _opened(query)
    if tile is None:
        raise SearchError(f"{query}: expected an image that Pillow can open for the picture of the results.")
    rows = max(1, math.ceil(len(matches) / ACROSS))
    step, height = SIDE + GAP, SIDE + 2 * LINE + GAP
    left = 2 * GAP + step
    page = Image.new("RGB", (left + ACROSS * step, GAP + LINE + rows * height), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    page.paste(tile, (GAP, GAP + LINE))
    draw.text((GAP, GAP // 2), "Query", INK, font)
    draw.text((left, GAP // 2), f"{len(matches)} nearest images" if matches else "No image was found", INK, font)
    for number, match in enumerate(matches):
        x, y = left + number % ACROSS * step, GAP + LINE + number // ACROSS * height
        _draw_match(page, draw, match, font, place=(x, y))
    return page


def _draw_match(
    page: Image.Image, draw: ImageDraw.ImageDraw, match: Match, font: Font, *, place: tuple[int, int]
) -> None:
    x, y = place
    tile = _opened(Path(str(match.metadata.get("path") or match.id)))
    frame = QUIET_INK if match.matches is None else MATCH if match.matches else NO_MATCH
    if tile is not None:
        page.paste(tile, (x, y))
    draw.rectangle((x - 2, y - 2, x + SIDE + 1, y + SIDE + 1), outline=frame, width=2)
    if match.matches is False:
        draw.line((x + SIDE - 18, y + 4, x + SIDE - 4, y + 18), NO_MATCH, 3)
        draw.line((x + SIDE - 18, y + 18, x + SIDE - 4, y + 4), NO_MATCH, 3)
    label = match.metadata.get("label") or match.metadata.get("prediction") or ""
    words = f"{match.score:.3f}" + (", no match" if match.matches is False else "")
    for line, text in enumerate((_fitting(str(label), font), words)):
        draw.text((x, y + SIDE + 3 + line * (LINE - 3)), text, INK if line == 0 else QUIET_INK, font)


def _fitting(text: str, font: Font) -> str:
    """Shorten a text to the width of an image."""
    text = terminal_text(text)
    if font.getlength(text) <= SIDE:
        return text
    while text and font.getlength(text + "...") > SIDE:
        text = text[:-1]
    return text + "..."


def _opened(path: Path) -> Image.Image | None:
    """Open an image as a square tile; small ones are enlarged by whole pixels."""
    from triptych.data.pixels.decoding import decode
    from triptych.data.pixels.resizing import fit
    from triptych.errors import DataError

    try:
        pixels = decode(path, channels=3)
    except DataError:
        return None
    times = SIDE // max(pixels.shape[:2])
    if times > 1:
        return _framed(pixels.repeat(times, 0).repeat(times, 1))
    return Image.fromarray(fit(pixels, (SIDE, SIDE), bars=255))


def _framed(pixels: "NDArray[np.uint8]") -> Image.Image:
    """Place an image in the centre of a tile."""
    tile = Image.new("RGB", (SIDE, SIDE), PAPER)
    height, width = pixels.shape[:2]
    tile.paste(Image.fromarray(pixels), ((SIDE - width) // 2, (SIDE - height) // 2))
    return tile
