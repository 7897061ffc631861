"""YAML text in and out: plain values as in YAML 1.2, the line of every key, and nothing but data."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.config.document import NotYamlError, read_document, write_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("+3", 3), ("0", 0), ("1.5", 1.5), ("-.5", -0.5), ("3.", 3.0), ("3e-4", 3e-4),
        ("1E3", 1e3), ("1.5e+2", 150.0), (".inf", float("inf")), ("-.INF", float("-inf")), ("true", True),
        ("False", False), ("null", None), ("~", None), ("", None), ("'3'", "3"), ('"1e3"', "1e3"), ("[1, a]", [1, "a"]),
        # Not what YAML 1.1 makes of them: true, false, 8, 16, 90, 1000, a date.
        ("yes", "yes"), ("off", "off"), ("010", "010"), ("0x10", "0x10"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"), ("e3", "e3"), (".", "."), ("1e", "1e"), ("-", [None]),
    ],
)  # fmt: skip
def test_plain_values_are_those_of_yaml_1_2(text, value):
    read = read_document(text).values
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read():
    assert str(read_document(".nan").values) == "nan"


def test_every_key_has_its_line():
    document = read_document("# head\na:\n  b: 1\n\n  c: {d: 2,\n      e: 3}\n'f g': 4\n")
    lines = {("a",): 2, ("a", "b"): 3, ("a", "c"): 5, ("a", "c", "d"): 5, ("a", "c", "e"): 6, ("f g",): 7}
    assert {key: document.lines[key] for key in lines} == lines
    assert document.lines.keys().isdisjoint({("a", "x"), ("a", "b", "x")})


def test_a_merged_key_has_the_line_that_it_was_written_on():
    document = read_document("base: &base\n  x: 1\n  y: 2\nown:\n  <<: *base\n  y: 3\n")
    assert document.values["own"] == {"x": 1, "y": 3}
    assert (document.lines["own", "x"], document.lines["own", "y"]) == (2, 6)
    assert document.repetitions == ()


def test_a_repeated_key_counts_last_and_is_reported_once_for_each_repetition():
    document = read_document("a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n")
    assert document.values == {"a": 4, "b": {"c": 2}}
    assert [(again.key, again.line) for again in document.repetitions] == [(("b", "c"), 2), (("a",), 3), (("a",), 4)]
    assert document.lines[("a",)] == 4


def test_keys_are_the_text_that_was_written():
    assert read_document("1: a\ntrue: b\nnull: c\n2024-01-01: d").values == {
        "1": "a", "true": "b", "null": "c", "2024-01-01": "d",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 1\nb: [1,\n", (3, 1), "expected the node content"),
        ("a:\n\tb: 1", (2, 1), "indent with spaces"),
        ("a: !!python/name:os.system", (1, 4), "could not determine a constructor"),
        ("a: 1\nb: !!int x", (2, 4), "'x' cannot be read as int"),
        ("a: 1\nb: \x07", (2, 4), "the character '\\x07' is not allowed"),
    ],
)
def test_what_is_no_yaml_is_reported_with_line_and_column(text, place, problem):
    with pytest.raises(NotYamlError, match=re.escape(problem)) as caught:
        read_document(text)
    assert (caught.value.line, caught.value.column) == place


_scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(
    st.characters(exclude_categories=["Cs"])
) | st.from_regex(r"[-+0-9.eE:_x~<nyoft]{1,6}", fullmatch=True)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(values=st.dictionaries(st.text("abc", min_size=1), _scalars | st.dictionaries(st.text("xyz"), _scalars)))
def test_what_is_written_reads_back_equal(values):
    read = read_document(write_document(values)).values
    assert read == values
    assert repr(read) == repr(values)
