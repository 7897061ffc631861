"""One finding of the examination of images."""

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How serious a finding is."""

    ERROR = "error"
    """Training would fail, or its metrics would be misleading."""
    WARNING = "warning"
    """Training works, but something is lost."""
    NOTE = "note"
    """Nothing is lost."""


class Finding(NamedTuple):
    """A finding and its consequences.

    Attributes:
        severity: How serious it is.
        topic: One to three words.
        text: The finding, in one or two sentences.
        remedy: What Triptych does about it, or what the user can do.
        examples: The first few images or classes.
    """

    severity: Severity
    topic: str
    text: str
    remedy: str
    examples: tuple[str, ...] = ()
