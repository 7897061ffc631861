"""One mistake in a config, and the report that lists them all, for whoever wrote the file."""

import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and where."""

    keys: tuple[KeyPath, ...]
    """The keys that it concerns; the one that most likely has to change comes first."""
    text: str
    """What was expected, what came, and what to do."""


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
        run.yaml: 2 mistakes
          line 7: ...
          --set b=2: ...
    """
    ordered = sorted(lines, key=lambda line: line.order)
    heading = f"{source}: {len(ordered)} {'mistake' if len(ordered) == 1 else 'mistakes'}"
    return "\n  ".join([heading, *(line.text for line in ordered)])


def key_name(path: KeyPath) -> str:
    """Write a key path with dots; parts that are no plain word are quoted and shortened.

    Example:
        >>> key_name(("training", "learning_rate")), key_name(("training", "learning rate"))
        ('training.learning_rate', "training.'learning rate'")
    """
    return ".".join(part if re.fullmatch(r"[\w-]{1,60}", part) else shown(part) for part in path)


def shown(value: object) -> str:
    """Write a value as a message shows it: on one line, short, and null, true and false as YAML spells them.

    Example:
        >>> shown("semi-hard"), shown(None), shown(True), shown("x" * 1000)
        ("'semi-hard'", 'null', 'true', "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'")
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 2
