"""Decides whether training images are flipped horizontally, by class names and pixels; for `init` and `doctor`."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from triptych.data.listing import listed
from triptych.inspection.drawings import drawn_in_strokes, has_flat_areas

SIDE = 32
"""Pixels along a side of the small grey images that are examined."""

DIRECTIONS = frozenset(
    (  # noqa: SIM905 - words in lines are easier to read
        "left right leftward rightward leftwards rightwards lefthand righthand east west eastern western eastbound "
        "westbound northeast northwest southeast southwest next previous prev forward forwards backward backwards "
        "rewind undo redo reverse reversed mirror mirrored flipped clockwise anticlockwise counterclockwise cw ccw "
        "arrow arrows chevron indent outdent ltr rtl links rechts vorwärts rückwärts gauche droite suivant "
        "précédent izquierda derecha siguiente anterior sinistra destra esquerda direita próximo лево право влево "
        "вправо налево направо левый правый"
    ).split()
)
"""Words for which left and right differ."""

SIGNS = frozenset(
    (  # noqa: SIM905 - words in lines are easier to read
        "text letter letters digit digits number numbers numeral numerals character characters glyph glyphs font "
        "fonts word words alphabet handwriting handwritten script kanji hiragana katakana hangul sign signs "
        "signage icon icons symbol symbols logo logos emblem barcode barcodes qrcode qr"
    ).split()
)
"""Words for writing and signs, whose mirror images are other signs, or none."""

NUMBER_WORDS = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
ARROWS = frozenset("←→↔⇐⇒⇔↩↪↰↱⟵⟶◀▶◁▷◂▸«»<>左右")
SIDES = re.compile(r"(left|right).{3,}|.{3,}(left|right)")
NO_SIDES = frozenset(["bright", "upright", "copyright", "outright", "birthright", "playwright", "righteous"])
"""Words that contain the name of a side by chance."""


class Flips(NamedTuple):
    """A decision.

    Attributes:
        helpful: Whether to flip every other image.
        reason: The reason, as the end of a sentence.
    """

    helpful: bool
    reason: str


def advise_flips(classes: Sequence[str], images: np.ndarray | None) -> Flips:
    """Decide whether the mirror image of an image is another image of the same class.

    The two possible errors differ: without flips a model learns a little less, with them a 2 and a 5 become one class.
    Images are therefore flipped only if no class name mentions a direction, most class names mention no writing, and
    the pixels are those of photographs: without strokes or large areas of one tone, as in text, icons and diagrams.

    Args:
        classes: The class names.
        images: A sample in grey from 0 to 255, (N, SIDE, SIDE); None: names alone decide.

    Example:
        >>> photographs = np.random.default_rng(0).integers(0, 256, (10, SIDE, SIDE))
        >>> advise_flips(["cat", "dog"], photographs)
        Flips(helpful=True, reason='photographs, and class names without left, right or writing')
        >>> advise_flips(["go-next", "go-previous"], photographs)
        Flips(helpful=False, reason='class names mention directions: go-next, go-previous')
    """
    if against := next(_against(classes, images), None):
        return Flips(False, against)
    names = "class names without left, right or writing"
    return Flips(True, names if images is None else f"photographs, and {names}")


def _against(classes: Sequence[str], images: np.ndarray | None) -> Iterator[str]:
    if are_characters(classes):
        yield "the classes are characters or numbers"
    if directed := _with_direction(classes):
        yield f"class names mention directions: {listed(directed, shown=3)}"
    signs = [name for name in classes if not SIGNS.isdisjoint(_words(name))]
    if 2 * len(signs) > len(classes):
        yield f"class names mention writing or signs: {listed(signs, shown=3)}"
    if images is not None and drawn_in_strokes(images):
        yield "images are strokes on a plain background, as text is"
    if images is not None and has_flat_areas(images):
        yield "images have areas of one tone, as icons and diagrams have"


def are_characters(classes: Sequence[str]) -> bool:
    """Check whether names are single characters, whole numbers or number words, after a common prefix.

    Example:
        >>> [are_characters(names) for names in (["0", "10"], ["A", "b"], ["digit_3", "digit_x"], ["one", "two"])]
        [True, True, True, True]
        >>> are_characters(["cat", "car"])
        False
    """
    if all(name.lower() in NUMBER_WORDS for name in classes):
        return True
    rests = [_LAST.findall(name)[0] for name in classes]
    prefixes = {name.removesuffix(rest) for name, rest in zip(classes, rests, strict=True)}
    return len(prefixes) == 1 and (all(map(str.isdecimal, rests)) or not prefixes.pop()[-1:].isalpha())


def _with_direction(classes: Sequence[str]) -> list[str]:
    """Find the classes that are named after a direction, and those that differ from another by l and r only."""
    words = {name: _words(name) for name in classes}
    sides = {name: tuple("l or r" if word in "lr" else word for word in found) for name, found in words.items()}
    paired = [name for name, side in sides.items() if "l or r" in side and [*sides.values()].count(side) > 1]
    named = [name for name, found in words.items() if ARROWS & set(name) or any(map(_is_direction, found))]
    return [name for name in classes if name in {*paired, *named}]


def _is_direction(word: str) -> bool:
    return word in DIRECTIONS or (word not in NO_SIDES and bool(SIDES.fullmatch(word)))


def _words(name: str) -> list[str]:
    """Split a name at punctuation, digits and capitals, in lower case.

    Example:
        >>> _words("Turn_leftAhead 2")
        ['turn', 'left', 'ahead']
    """
    composed = unicodedata.normalize("NFC", name)
    return [word.lower() for word in re.findall(r"[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|[A-Z][^\W\d_A-Z]*", composed)]


_LAST = re.compile(r"[0-9]+\Z|.\Z", re.DOTALL)
"""A number or a character at the end."""
