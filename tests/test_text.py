import sys
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.text import csv_cell, csv_text, terminal_lines, terminal_text


def test_no_character_that_a_terminal_obeys_passes() -> None:
    passed = {character for code in range(sys.maxunicode + 1) if terminal_text(character := chr(code)) == character}

    assert {category(character) for character in passed}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    # Marks that change the direction of text, and byte order marks.
    assert passed.isdisjoint("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@pytest.mark.parametrize(
    "name", ["cat", "猫", "قطة", "mi\u200cشود", "a\u00a0b", "x\u3000y", "👩\u200d🔬", r"C:\new", "é"]
)
def test_names_in_any_script_are_kept(name: str) -> None:
    assert terminal_text(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("bad\udcff.png", r"bad\udcff.png"),
        (7, "7"),
    ],
)
def test_control_characters_are_written_as_escapes(name: object, shown: str) -> None:
    assert terminal_text(name) == shown


def test_messages_keep_their_lines() -> None:
    assert terminal_lines("one\n  two\x1b[31m\n") == "one\n  two\\x1b[31m\n"


FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-cat", "@SUM(A1)", "\tx", "\rx", "\nx", "'quoted", "'=x", " =1+1", "  '=x", "\u3000\u00a0-x"),
        *(f"{sign}1" for sign in FULL_WIDTH),
        f"' {FULL_WIDTH}",
    ],
)
def test_cells_of_a_table_are_no_formulas_and_can_be_read_back(text: str) -> None:
    cell = csv_cell(text)

    assert not cell.strip(" \u00a0\u3000").startswith(("=", "+", "-", "@", "\t", "\r", "\n", *FULL_WIDTH))
    assert csv_text(cell) == text


@pytest.mark.parametrize("text", ["", "cat", "a=b", "photos/-1.png", "猫", " cat", "a\n=b"])
def test_ordinary_cells_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == csv_text(text) == text


@given(st.text(st.sampled_from([*"'=+-@\t\r\n a\u00a0\u3000", *FULL_WIDTH]), max_size=6))
def test_any_cell_is_read_as_it_was_written(text: str) -> None:
    assert csv_text(csv_cell(text)) == text
