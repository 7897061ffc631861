"""Names from data sets, file systems and configs, made safe for a terminal: what is printed is never obeyed."""

import re
from unicodedata import category

JOINERS = "\u200c\u200d"
"""Invisible characters that scripts such as Persian, and emoji, are spelled with."""

FORMULA = re.compile("[ \u00a0\u3000]*[=+\\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]")
"""By what a spreadsheet may recognise a formula, full-width signs and spaces before them included; and the apostrophe
that marks text. `explorer/src/labels/csv.ts` has the same rule."""


def terminal_text(text: object) -> str:
    r"""Return text on one line, its control characters written as escapes: a terminal shows them and obeys none.

    Escaped are control characters (of which escape sequences consist), line and paragraph separators, marks that
    reverse the direction of text, and bytes of file names that are not valid UTF-8. Letters, symbols and spaces of all
    scripts are kept. Apply it to every class name, file name and value that is printed; use `terminal_lines` for
    messages.

    Example:
        >>> print(terminal_text("cat\x1b[2J\r\n"), terminal_text("\u732b \u202egnp.exe"))
        cat\x1b[2J\r\n 猫 \u202egnp.exe
    """
    return "".join(character if _is_harmless(character) else _escape(character) for character in str(text))


def terminal_lines(text: object) -> str:
    r"""Return a message with its line breaks kept and every line made safe by `terminal_text`.

    Example:
        >>> terminal_lines("2 errors\n  line 1: \x07")
        '2 errors\n  line 1: \\x07'
    """
    return "\n".join(map(terminal_text, str(text).split("\n")))


def unicode_text(text: object) -> str:
    r"""Return text with bytes of file names that are not valid UTF-8 replaced: tables and databases take no others.

    Example:
        >>> unicode_text("caf\udce9.jpg") == "caf\N{REPLACEMENT CHARACTER}.jpg"
        True
    """
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def counted(count: int, noun: str) -> str:
    """Return a number and its noun.

    Example:
        >>> counted(1, "file"), counted(1200, "file")
        ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def csv_cell(text: str) -> str:
    r"""Return text for a cell of a CSV file, so that no spreadsheet takes it for a formula.

    Text that begins with =, +, -, @ (or their full-width forms), a tab or a line break gets an apostrophe in front, as
    OWASP recommends, also where spaces precede them, which some programs cut off; text that begins with an apostrophe
    gets one too, so that `csv_text` gives back what was written.

    Example:
        >>> csv_cell("=1+1"), csv_cell("cat"), csv_text(csv_cell("-shirt"))
        ("'=1+1", 'cat', '-shirt')
    """
    return f"'{text}" if FORMULA.match(text) else text


def csv_text(cell: str) -> str:
    """Return the text of a cell that `csv_cell` has written."""
    return cell[1:] if cell[:1] == "'" and FORMULA.match(cell, 1) else cell


def _is_harmless(character: str) -> bool:
    # isprintable() rejects all spaces but the ASCII one.
    return character.isprintable() or character in JOINERS or category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
