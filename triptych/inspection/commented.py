"""Writes a config with a reason beside each value, as people write it; for `triptych init`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from triptych.config.document import NotYamlError, read_document

COLUMN = 30
"""Where reasons begin, unless a value is longer."""
WIDTH = 110
"""A longer line has its reason above it."""


class Chosen(NamedTuple):
    """A value, and why."""

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
    comment = [f"# {_printable(line)}".rstrip() for line in head.splitlines()]
    return "\n".join([*comment, *_lines(choices)]) + "\n"


def _lines(choices: Mapping[str, Chosen]) -> Iterator[str]:
    """Write the keys, and the names of the sections where they begin, the outermost after an empty line."""
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
    comment = f"# {_printable(reason)}"
    whole = f"{line:<{COLUMN - 2}}  {comment}"
    indent = line[: len(line) - len(line.lstrip())]
    return [whole] if len(whole) <= WIDTH else [indent + comment, line]


def _text(value: object) -> str:
    """Write a number, a word or a list of such on one line, a word in quotes where it would be read as another."""
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


def _printable(text: str) -> str:
    """Keep a name with odd characters from ending a comment."""
    return "".join(character if character.isprintable() else "?" for character in text)
