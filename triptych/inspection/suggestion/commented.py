"""Writes a config with a reason beside each value; for `suggest.py`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from triptych.config.document import NotYamlError, read_document
from triptych.text import terminal_text

COLUMN = 30
"""Column of the reasons, unless a value is longer."""
WIDTH = 110
"""Longest line; the reason of a longer one is written above it."""


class Chosen(NamedTuple):
    """A value and the reason for it."""

    value: Any
    reason: str = ""


def commented(choices: Mapping[str, Chosen], *, head: str) -> str:
    r"""Write values as YAML, each with its reason.

    Args:
        choices: Values by their key paths, those of one section in a row.
        head: Lines of the comment above them.

    Example:
        >>> print(commented({"dataset.pad": Chosen(2, "whole patches"), "dataset.root": Chosen("a: b")}, head="Mine."))
        # Mine.
        <BLANKLINE>
        dataset:
          pad: 2                      # whole patches
          root: "a: b"
        <BLANKLINE>
    """
    comment = [f"# {terminal_text(line)}".rstrip() for line in head.splitlines()]
    return "\n".join([*comment, *_lines(choices)]) + "\n"


def _lines(choices: Mapping[str, Chosen]) -> Iterator[str]:
    """Write the keys, and the names of the sections before their first keys, the outermost after an empty line."""
    open_sections: list[str] = []
    for path, (value, reason) in choices.items():
        *sections, key = path.split(".")
        for depth, name in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                open_sections = sections[: depth + 1]
                yield from ([""] if depth == 0 else [])
                yield f"{'  ' * depth}{name}:"
        open_sections = sections
        yield from _value_lines(f"{'  ' * len(sections)}{key}: {_text(value)}", reason)


def _value_lines(line: str, reason: str) -> list[str]:
    if not reason:
        return [line]
    comment = f"# {terminal_text(reason)}"
    whole = f"{line:<{COLUMN - 2}}  {comment}"
    indent = line[: len(line) - len(line.lstrip())]
    return [whole] if len(whole) <= WIDTH else [indent + comment, line]


def _text(value: object) -> str:
    """Write a number, text or a list of these on one line; text in quotes if it would be read as another type."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _reads_back(value) else yaml.safe_dump(value, default_style='"', width=float("inf")).rstrip("\n")


def _reads_back(text: str) -> bool:
    try:
        return bool(read_document(f"x: {text}  # y").values == {"x": text})
    except NotYamlError:
        return False
