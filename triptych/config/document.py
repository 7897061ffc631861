"""The YAML text of a config: read with the line of every key, and written so that it reads back equal.

Values are read by the core schema of YAML 1.2, as editors read them, where PyYAML follows YAML 1.1: `3e-4` and `1e3`
are numbers; `yes`, `010`, `1:30` and `2024-01-01` are text, and so never become `True`, 8, 90 or a date by surprise.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from triptych.config.report import KeyPath, shown

MOST_CHARACTERS = 200_000
"""Longest text that is parsed: 40 times the longest shipped config."""
MOST_VALUES = 10_000
"""Most values of a text, those behind aliases counted at every place: a few lines of aliases can stand for billions."""


class NotYamlError(ValueError):
    """The text is not valid YAML, or too large: the place where reading stopped (from 1), and the reason."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Repetition:
    """A key that occurs twice in a mapping."""

    key: KeyPath
    line: int
    text: str


@dataclass(frozen=True)
class Document:
    """A parsed text: its values, its repeated keys, and the line of every key."""

    values: Any
    repetitions: tuple[Repetition, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """Line numbers, from 1; of equal keys that of the last, whose value is used."""


def read_document(text: str) -> Document:
    r"""Parse YAML text into plain values; keys stay text, as written.

    Raises:
        NotYamlError: The text is not valid YAML, contains a Python object, or is larger than any config.

    Example:
        >>> document = read_document("training:\n  learning_rate: 3e-4")
        >>> document.values, document.lines["training", "learning_rate"]
        ({'training': {'learning_rate': 0.0003}}, 2)
    """
    if len(text) > MOST_CHARACTERS:
        raise NotYamlError(f"expected at most {MOST_CHARACTERS:,} characters; got {len(text):,}", 1, 1)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        # Before the values are built, because that writes merged keys into the nodes.
        _check_size(root)
        repetitions = tuple(_repetitions(root, (), set()))
        values = None if root is None else loader.construct_document(root)
        return Document(values, repetitions, dict(_key_lines(root, ())))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise NotYamlError(_problem(error), line, column) from None
    except ReaderError as error:
        place = error.position
        line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
        problem = f"the character {shown(text[place])} is not allowed in YAML; is this a text file?"
        raise NotYamlError(problem, line, column) from None
    except RecursionError:
        raise NotYamlError("the brackets or sections are nested too deeply", 1, 1) from None


def write_document(values: Mapping[str, Any]) -> str:
    """Write `values` as YAML text, in their order, so that `read_document` reads them back equal."""
    # Beyond ASCII everything is escaped: PyYAML writes some line breaks of Unicode so that they read back as blanks.
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the plain values of YAML 1.2, and keys left as they are written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(None, None, "expected keys with values", node.start_mark)
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "expected a key that is a single word", key.start_mark)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, TypeError, AttributeError):  # PyYAML's own on `!!int abc` or a vast number
            problem = f"{shown(node.value)} cannot be read as {node.tag.rpartition(':')[2]}"
            raise ConstructorError(None, None, problem, node.start_mark) from None


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which also quotes text that `_Loader` would read as a number."""


_PLAIN_VALUES = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)
"""Tag, pattern and first characters of the plain words that are not text."""

for _tag, _pattern, _first in _PLAIN_VALUES:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"({_pattern})\Z"), _first)


def _check_size(root: yaml.Node | None) -> None:
    """Count the values, those behind an alias at each of its places, before any is copied."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MOST_VALUES + 1  # an alias that contains itself has no end
            children = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if root is not None and size(root) > MOST_VALUES:
        raise NotYamlError(f"expected at most {MOST_VALUES:,} keys and values, aliases written out; got more", 1, 1)


def _key_lines(node: yaml.Node | None, key: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """List the line of every key; call it after the values are built, which resolves merged keys."""
    for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
        yield (*key, name.value), name.start_mark.line + 1
        yield from _key_lines(value, (*key, name.value))


def _repetitions(node: yaml.Node | None, key: KeyPath, visited: set[int]) -> Iterator[Repetition]:
    """Find the repeated keys of all mappings, each visited once: aliases may share one."""
    if not isinstance(node, yaml.MappingNode) or id(node) in visited:
        return
    visited.add(id(node))
    first_lines: dict[str, int] = {}
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            continue  # rejected when the values are built
        line = name.start_mark.line + 1
        if name.value in first_lines:
            again = f" with {shown(value.value)}" if isinstance(value, yaml.ScalarNode) else ""
            text = f"expected each key once; got it again{again}, after line {first_lines[name.value]}; remove one"
            yield Repetition((*key, name.value), line, text)
        first_lines.setdefault(name.value, line)
        yield from _repetitions(value, (*key, name.value), visited)


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in problem:
        return f"{problem}; indent with spaces, not with tabs"
    return problem
