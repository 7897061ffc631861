"""A parsed filter: a small tree of conditions over metadata columns, the same for every back end.

The tree has no negation: `where.py` moves it into the leaves. A leaf is never true for a missing value (except
`Missing`), so that conditions need only two truth values and both back ends agree on rows without a value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "boolean"]
"""Type of a metadata column: text, 64-bit integer, 64-bit float, or boolean."""

Value = str | int | float | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">="]

OPPOSITE: dict[Operator, Operator] = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
LEAST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Comparison:
    """Rows whose value in `column` has this relation to `value`, which is of the column's kind."""

    column: str
    operator: Operator
    value: Value


@dataclass(frozen=True)
class Membership:
    """Rows that have a value in `column` which is one of `values`; with `negated`, which is none of them."""

    column: str
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True)
class Missing:
    """Rows without a value in `column`; with `negated`, rows with one."""

    column: str
    negated: bool = False


@dataclass(frozen=True)
class Both:
    """Rows for which every condition holds."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Either:
    """Rows for which at least one condition holds."""

    conditions: tuple["Condition", ...]


Condition = Comparison | Membership | Missing | Both | Either


def opposite(condition: Condition) -> Condition:
    """Return the condition that holds where this one does not, except for missing values: SQL's `not`.

    Example:
        >>> opposite(Both((Comparison("n", "<", 3), Missing("label"))))
        Either(conditions=(Comparison(column='n', operator='>=', value=3), Missing(column='label', negated=True)))
    """
    match condition:
        case Comparison(column, operator, value):
            return Comparison(column, OPPOSITE[operator], value)
        case Membership(column, values, negated):
            return Membership(column, values, not negated)
        case Missing(column, negated):
            return Missing(column, not negated)
        case Both(conditions):
            return Either(tuple(map(opposite, conditions)))
        case Either(conditions):
            return Both(tuple(map(opposite, conditions)))


def columns_of(condition: Condition) -> set[str]:
    """Return the columns that a condition reads."""
    if isinstance(condition, Both | Either):
        return set().union(*map(columns_of, condition.conditions))
    return {condition.column}


def compare_integers(column: str, operator: Operator, value: float) -> Condition:
    """Compare a column of 64-bit integers with any finite number, exactly.

    Otherwise the two engines would convert the column or the number differently.

    Example:
        >>> compare_integers("n", "<", 2.5), compare_integers("n", ">", 10**30)
        (Comparison(column='n', operator='<=', value=2), Membership(column='n', values=(), negated=False))
    """
    whole = math.floor(value)
    if value != whole:
        if operator in ("=", "!="):
            return Membership(column, (), negated=operator == "!=")
        return compare_integers(column, *(("<=", whole) if operator in ("<", "<=") else (">=", whole + 1)))
    if LEAST_INTEGER <= whole <= LARGEST_INTEGER:
        return Comparison(column, operator, whole)
    all_below = whole > LARGEST_INTEGER
    holds = operator == "!=" or operator in (("<", "<=") if all_below else (">", ">="))
    return Membership(column, (), negated=holds)


def integers_among(values: Sequence[float]) -> tuple[int, ...]:
    """Keep the numbers that are 64-bit integers."""
    whole = (int(value) for value in values if value == math.floor(value))
    return tuple(value for value in whole if LEAST_INTEGER <= value <= LARGEST_INTEGER)


def storable(text: str) -> bool:
    """Return whether both back ends can store a text: no NUL character and no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
