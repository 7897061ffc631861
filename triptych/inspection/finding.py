"""One thing that the doctor has to say."""

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad it is."""

    WRONG = "wrong"
    """Training would fail, or its figures would not mean what they say."""
    WARNING = "warning"
    """Training is possible, and something is lost."""
    NOTE = "note"
    """Nothing is lost, but it should be known."""


class Finding(NamedTuple):
    """What was found, and what comes of it.

    Attributes:
        severity: How bad it is.
        topic: A word or two.
        text: What was found, in a sentence.
        remedy: What will be done about it, or can be.
        examples: The first few images or classes that it is about.
    """

    severity: Severity
    topic: str
    text: str
    remedy: str
    examples: tuple[str, ...] = ()
