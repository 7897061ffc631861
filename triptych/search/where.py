"""The filter language, as in `label = 'cat' and probability > .9`: parsed into conditions, never passed on as text.

    comparison   column = != < <= > >= value; `==` and `<>` are accepted too
    membership   column in ('cat', 'dog'), column not in (1, 2)
    missing      column is null, column is not null
    logic        not, and, or, parentheses; `not` binds tighter than `and`, `and` tighter than `or`
    values       'text' (two quotes for one: 'it''s'), 3, -.5, 1e-3, true, false
    columns      a plain name, or any name between double quotes; `id` is the image's id

As in SQL, a comparison is never true for a row without a value, negated or not.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, cast

from triptych.errors import SearchError
from triptych.search.conditions import (
    Both,
    Comparison,
    Condition,
    Either,
    Kind,
    Membership,
    Missing,
    Operator,
    Value,
    compare_integers,
    integers_among,
    opposite,
    storable,
)

LONGEST = 100_000
"""Maximum number of characters of a filter."""
LONGEST_NUMBER = 400
MOST_CONDITIONS = 200
DEEPEST = 50
"""Maximum nesting of parentheses."""

TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<word>[^\W\d]\w*)
      | (?P<operator><=|>=|!=|<>|==|=|<|>)
      | (?P<mark>[(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
KEYWORDS = {"and", "or", "not", "in", "is", "null", "true", "false"}
SPELLINGS = {"==": "=", "<>": "!="}
MEANING: dict[Kind, str] = {
    "text": "text between single quotes",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
}


def parse_where(text: str, columns: Mapping[str, Kind]) -> Condition:
    """Parse a filter over these columns.

    Args:
        text: The filter, in the language of the module's docstring.
        columns: Kind of each available column, besides `id`.

    Raises:
        SearchError: The text is not valid, refers to an unknown column, or compares a column with a value of another
            kind; the message has the position, and similar names.

    Example:
        >>> parse_where("label = 'cat' and not p > .9", {"label": "text", "p": "number"})
        Both(conditions=(Comparison(column='label', operator='=', value='cat'),
                         Comparison(column='p', operator='<=', value=0.9)))
    """
    if not isinstance(text, str):
        raise TypeError(f"where must be text such as \"label = 'cat'\", but it is a {type(text).__name__}")
    if len(text) > LONGEST:
        raise SearchError(f"Expected a filter of at most {LONGEST:,} characters, got {len(text):,}. Split the search.")
    return _Parser(text, {**columns, "id": "text"}).parse()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word


class _Parser:
    """Recursive descent, one method for each rule of the language."""

    def __init__(self, text: str, columns: Mapping[str, Kind]) -> None:
        self.text = text
        self.columns = columns
        self.tokens = self._split()
        self.position = 0
        self.depth = 0
        self.conditions = 0

    def parse(self) -> Condition:
        condition = self._either()
        if self.current.kind != "end":
            self._fail("Expected 'and', 'or' or the end of the filter")
        return condition

    @property
    def current(self) -> _Token:
        return self.tokens[self.position]

    def _either(self) -> Condition:
        terms = [self._both()]
        while self._take("or"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else Either(tuple(terms))

    def _both(self) -> Condition:
        terms = [self._negation()]
        while self._take("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else Both(tuple(terms))

    def _negation(self) -> Condition:
        negated = False
        while self._take("not"):
            negated = not negated
        condition = self._group() if self._take("(") else self._leaf()
        return opposite(condition) if negated else condition

    def _group(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            self._fail(f"Expected at most {DEEPEST} parentheses within each other")
        condition = self._either()
        self._require(")")
        self.depth -= 1
        return condition

    def _leaf(self) -> Condition:
        self.conditions += 1
        if self.conditions > MOST_CONDITIONS:
            self._fail(f"Expected at most {MOST_CONDITIONS} conditions; `column in (…)` takes many values as one")
        column = self._column()
        if self._take("is"):
            negated = self._take("not")
            self._require("null")
            return Missing(column, negated)
        negated = self._take("not")
        if self._take("in"):
            return self._membership(column, negated=negated)
        if negated or self.current.kind != "operator":
            self._fail("Expected = != < <= > >=, 'in (…)', 'not in (…)' or 'is null'")
        token = self._next()
        return self._comparison(column, cast(Operator, SPELLINGS.get(token.text, token.text)), token)

    def _comparison(self, column: str, operator: Operator, token: _Token) -> Condition:
        kind = self.columns[column]
        if kind == "boolean" and operator not in ("=", "!="):
            self._fail(f"Expected = or !=, as column {column!r} holds true or false", at=token)
        value = self._value(column)
        if kind == "integer":
            return compare_integers(column, operator, cast(float, value))
        return Comparison(column, operator, value)

    def _membership(self, column: str, *, negated: bool) -> Condition:
        self._require("(")
        values = [self._value(column)]
        while self._take(","):
            values.append(self._value(column))
        self._require(")")
        if self.columns[column] == "integer":
            return Membership(column, integers_among(cast(list[float], values)), negated)
        return Membership(column, tuple(values), negated)

    def _column(self) -> str:
        token = self.current
        if token.kind == "quoted":
            name = token.text[1:-1].replace('""', '"')
        elif token.kind == "word" and token.text.lower() not in KEYWORDS:
            name = token.text
        else:
            self._fail("Expected the name of a column")
        if name not in self.columns:
            close = difflib.get_close_matches(name, self.columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            self._fail(f"Expected one of the columns {', '.join(sorted(self.columns))}{hint}")
        self.position += 1
        return name

    def _value(self, column: str) -> Value:
        kind = self.columns[column]
        token = self._next()
        value: Value | None = None
        if token.kind == "text" and kind == "text":
            value = token.text[1:-1].replace("''", "'")
            if not storable(value):
                self._fail("Expected text without NUL characters and lone surrogates", at=token)
        elif token.kind == "number" and kind in ("integer", "number"):
            value = self._number(token, kind)
        elif kind == "boolean" and (token.is_word("true") or token.is_word("false")):
            value = token.is_word("true")
        if value is None:
            self._fail(f"Expected {MEANING[kind]} to compare column {column!r} with", at=token)
        return value

    def _number(self, token: _Token, kind: Kind) -> float:
        number = float(token.text)
        if not math.isfinite(number) or len(token.text) > LONGEST_NUMBER:
            self._fail("Expected a number within the range of 64-bit floats", at=token)
        if kind == "integer" and re.fullmatch(r"[-+]?\d+", token.text):
            return int(token.text)  # exact, where the float above is not
        return number + 0.0  # -0.0 becomes 0.0

    def _take(self, expected: str) -> bool:
        token = self.current
        found = token.is_word(expected) or (token.kind == "mark" and token.text == expected)
        self.position += found
        return found

    def _require(self, expected: str) -> None:
        if not self._take(expected):
            self._fail(f"Expected {expected!r}")

    def _next(self) -> _Token:
        token = self.current
        self.position += token.kind != "end"
        return token

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while not tokens or tokens[-1].kind != "end":
            match = TOKEN.match(self.text, position)
            if match is None:
                start = position + len(self.text[position:]) - len(self.text[position:].lstrip())
                self._fail("Expected a column, a value or an operator", at=_Token("unknown", self.text[start], start))
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            position = match.end()
        return tokens

    def _fail(self, expected: str, *, at: _Token | None = None) -> NoReturn:
        token = at or self.current
        got = "the end of the filter" if token.kind == "end" else repr(token.text[:40])
        before = self.text[max(0, token.start - 30) : token.start]
        raise SearchError(
            f"{expected}, got {got} at character {token.start + 1} of the filter (after {before!r}). "
            "Example: label = 'cat' and probability > .9"
        )
