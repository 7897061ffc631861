"""Names of files and classes: natural order and Unicode normalisation."""

import re
import unicodedata

_NUMBER = re.compile("[0-9]+")


def natural_key(name: str) -> str:
    """Return the key of natural order, independent of language: "Cat 2" comes before "cat 10".

    Example:
        >>> sorted(["img10", "Img2", "img1", "é"], key=natural_key)
        ['img1', 'Img2', 'img10', 'é']
    """
    return f"{_NUMBER.sub(_length_first, composed(name).casefold())}\0{name}"


def composed(name: str) -> str:
    """Normalise accents (Unicode's NFC): macOS and Linux use different code points for the same file name."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _length_first(number: re.Match[str]) -> str:
    digits = number[0].lstrip("0")
    return f"{len(digits):03}{digits}"
