import contextlib
import re
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from triptych.errors import SearchError
from triptych.search.conditions import Both, Comparison, Condition, Either, Membership, Missing
from triptych.search.where import parse_where

COLUMNS = {"label": "text", "count": "integer", "share": "number", "checked": "boolean", "two words": "text"}

cat, big, rare = Comparison("label", "=", "cat"), Comparison("share", ">", 0.9), Comparison("count", "<", 3)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("label = 'cat'", cat),
        ("label=='cat'", cat),
        ("\"label\" = 'cat'", cat),
        ("label <> 'it''s'", Comparison("label", "!=", "it's")),
        ("\"two words\" = ''", Comparison("two words", "=", "")),
        ("id = 'a.png'", Comparison("id", "=", "a.png")),
        ("share > .9", big),
        ("share > +9.0E-1", big),
        ("share >= -1", Comparison("share", ">=", -1.0)),
        ("count = 9007199254740993", Comparison("count", "=", 2**53 + 1)),
        ("checked = TRUE", Comparison("checked", "=", True)),
        ("label in ('cat', 'dog')", Membership("label", ("cat", "dog"))),
        ("label NOT IN ('cat')", Membership("label", ("cat",), negated=True)),
        ("label is null", Missing("label")),
        ("label is not null", Missing("label", negated=True)),
        ("label = 'cat' and share > .9 or count < 3", Either((Both((cat, big)), rare))),
        ("label = 'cat' and (share > .9 or count < 3)", Both((cat, Either((big, rare))))),
        ("not label = 'cat' and share > .9", Both((Comparison("label", "!=", "cat"), big))),
        ("not not label = 'cat'", cat),
        ("not (label is null or count < 3)", Both((Missing("label", negated=True), Comparison("count", ">=", 3)))),
        ("\n label\t= 'cat' ", cat),
    ],
)
def test_filters_are_read_as_in_sql(text: str, condition: object) -> None:
    assert parse_where(text, COLUMNS) == condition


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("count < 2.5", Comparison("count", "<=", 2)),
        ("count >= 2.5", Comparison("count", ">=", 3)),
        ("count > -2.5", Comparison("count", ">=", -2)),
        ("count = 2.0", Comparison("count", "=", 2)),
        ("count = 2.5", Membership("count", ())),
        ("count != 2.5", Membership("count", (), negated=True)),
        ("count <= 9223372036854775808", Membership("count", (), negated=True)),
        ("count < -9223372036854775809", Membership("count", ())),
        ("count in (1, 2.5, 1e30)", Membership("count", (1,))),
    ],
)
def test_numbers_are_compared_exactly_with_columns_of_integers(text: str, condition: object) -> None:
    assert parse_where(text, COLUMNS) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the end of the filter at character 1"),
        ("labl = 'cat'", "did you mean 'label'?, got 'labl' at character 1"),
        ("label = 3", "Expected text between single quotes to compare column 'label' with, got '3' at character 9"),
        ("label = cat", "text between single quotes"),
        ('label = "cat"', "text between single quotes"),
        ("share = '3'", "Expected a number to compare column 'share' with"),
        ("count = true", "Expected a number"),
        ("checked = 1", "Expected true or false"),
        ("checked < true", "Expected = or !="),
        ("label = 'cat", 'got "\'" at character 9'),
        ("label = 'a' and", "Expected the name of a column, got the end"),
        ("label = 'a' label = 'b'", "Expected 'and', 'or' or the end"),
        ("(label = 'a'", "Expected ')'"),
        ("label in ()", "Expected text"),
        ("label in 'a'", "Expected '('"),
        ("label like 'a'", "got 'like'"),
        ("label is 'a'", "Expected 'null'"),
        ("label not = 'a'", "'not in (…)'"),
        ("share > 1e999", "range of 64-bit floats"),
        ("count = 5x", "got '5'"),
        ("count = " + "0" * 401, "range"),
        ("label = 'a\0'", "NUL"),
        ("label = '\ud800'", "surrogates"),
        ("null = 'a'", "the name of a column"),
        ("label = null", "text between single quotes"),
        ("(" * 60 + "count = 1" + ")" * 60, "at most 50 parentheses"),
        ("count = 1" + " and count = 1" * 200, "at most 200 conditions"),
        ("label = '" + "a" * 100_000 + "'", "at most 100,000 characters"),
    ],
)
def test_what_is_not_in_the_language_is_rejected_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SearchError, match=re.escape(message)):
        parse_where(text, COLUMNS)


parts = st.sampled_from([*"()=<>!,'\"", "label", "count", " not ", "in", "1", "'a'", "and"])


@settings(deadline=None)
@given(st.text() | st.lists(parts).map("".join))
@example("not " * 20_000 + "count = 1")
def test_any_text_is_read_or_rejected(text: str) -> None:
    with contextlib.suppress(SearchError):
        assert isinstance(parse_where(text, COLUMNS), get_args(Condition))


def test_what_is_not_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="where must be text"):
        parse_where(3, COLUMNS)  # type: ignore[arg-type]
