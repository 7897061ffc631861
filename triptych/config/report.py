"""The errors of a config, and the report that lists all of them with their places."""

import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from triptych.text import terminal_text

KeyPath: TypeAlias = tuple[str, ...]

MOST_SHOWN = 50
"""Errors that a report lists; more are counted."""


@dataclass(frozen=True)
class Invalid:
    """An invalid value, or an invalid combination of values."""

    keys: tuple[KeyPath, ...]
    """The keys involved; the one to change first comes first."""
    text: str
    """What was expected, what was received, and how to fix it."""


@dataclass(frozen=True)
class ReportLine:
    """A line of the report and its place among the others."""

    order: tuple[int, int]
    """The file (0) or the command line (1), then the line or the position there."""
    text: str


def report(source: str, lines: Iterable[ReportLine]) -> str:
    """Join the lines, in the order of file and command line, below a heading that counts them.

    Example:
        >>> print(report("run.yaml", [ReportLine((1, 0), "--set b=2: ..."), ReportLine((0, 7), "line 7: ...")]))
        run.yaml: 2 errors
          line 7: ...
          --set b=2: ...
    """
    ordered = sorted(lines, key=lambda line: line.order)
    heading = f"{source}: {len(ordered):,} {'error' if len(ordered) == 1 else 'errors'}"
    shown_lines = [line.text for line in ordered[:MOST_SHOWN]]
    if len(ordered) > MOST_SHOWN:
        shown_lines.append(f"... and {len(ordered) - MOST_SHOWN:,} more")
    return "\n  ".join([heading, *shown_lines])


def key_name(path: KeyPath) -> str:
    """Write a key path with dots; parts that are not plain words are quoted and shortened.

    Example:
        >>> key_name(("training", "learning_rate")), key_name(("training", "learning rate"))
        ('training.learning_rate', "training.'learning rate'")
    """
    return ".".join(part if re.fullmatch(r"[\w-]{1,60}", part) else shown(part) for part in path)


def shown(value: object) -> str:
    """Write a value on one line of at most 80 characters; null, true and false as YAML spells them.

    Example:
        >>> shown("semi-hard"), shown(None), shown(True), shown("x" * 1000)
        ("'semi-hard'", 'null', 'true', "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'")
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = terminal_text(_SHORT.repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 2
