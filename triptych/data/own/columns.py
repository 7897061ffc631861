"""Tables by column, and the reader of CSV files; `parquet.py` reads the others."""

import csv
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from triptych.data.invalid import invalid, regular_file
from triptych.data.own.names import composed
from triptych.errors import DataError

if TYPE_CHECKING:
    import pyarrow

DELIMITERS = (",", ";", "\t", "|")

LONGEST_FIELD = 1 << 30
"""Maximum field length in characters; Python's own limit is 131,072, for the whole process."""


class Table(ABC):
    """A file of rows and columns.

    Attributes:
        file: The file.
        names: The names of the columns.
        class_names: Class names for columns of numbers, if the file defines them.
        notes: Warnings, in sentences.
    """

    file: Path
    names: tuple[str, ...]
    class_names: dict[str, list[str]]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def kind(self, name: str) -> "pyarrow.DataType":
        """Return the type of a column."""

    @abstractmethod
    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """Read a column; raises DataError if it is damaged."""

    @abstractmethod
    def row(self, place: int) -> str:
        """Return the location of a row in the file."""

    def invalid(self, expected: str, received: str, remedy: str = "Fix the table.") -> DataError:
        """Create the error about an invalid file."""
        return DataError(f"{self.file}: expected {expected}, but received {received}. {remedy}")


class CsvTable(Table):
    """A CSV file, read by Python's reader, which reports the line of every error, unlike pyarrow's.

    Args:
        file: The file.
        content: Its bytes: UTF-8, UTF-16, UTF-32 with a byte order mark, or else Windows-1252, with a note.
        expected: Names of columns, to detect the delimiter, unless the first line defines it ("sep=;").
    """

    def __init__(self, file: Path, content: bytes, expected: Collection[str]) -> None:
        self.file = file
        self.class_names = {}
        text = self._decoded(content)
        delimiter, first = None, 1
        if named := re.match(r'"?sep=(.)"?[,;|\t]*\r?\n', text, re.IGNORECASE):  # Excel's directive
            delimiter, first, text = named[1], 2, text[named.end() :]
        if empty := re.match(r"(?:[ \t]*\r?\n)+", text):
            first, text = first + empty[0].count("\n"), text[empty.end() :]
        headers = {mark: _header(text, mark) for mark in ([delimiter] if delimiter else DELIMITERS)}
        delimiter = max(headers, key=lambda mark: (len(set(expected) & set(headers[mark])), len(headers[mark])))
        self.names = headers[delimiter]
        self._rows: list[list[str]] = []
        self._lines: list[int] = []
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            strict=True,
            # Spaces before a quoted value are not part of it; before others they may be part of a file's name.
            skipinitialspace=re.search(f'{re.escape(delimiter)} +"', text) is not None,
        )
        try:
            with _long_fields():
                next(reader, None)
                for row in filter(None, reader):
                    line = reader.line_num + first - 1
                    if len(row) != len(self.names):
                        received = f"{len(row)} in line {line}"
                        expected_row = f"{len(self.names)} values in every row, as its first line has names"
                        raise self.invalid(expected_row, received)
                    self._rows.append(row)
                    self._lines.append(line)
        except csv.Error as error:
            line = reader.line_num + first - 1
            raise self.invalid("a CSV file", f"something else in line {line} ({error})") from error

    @classmethod
    def read(cls, file: Path, *, expected: Collection[str]) -> "CsvTable":
        """Read a file; raises DataError if it is missing, not a file, or not CSV."""
        regular_file(file, "a CSV file")
        try:
            return cls(file, file.read_bytes(), expected)
        except OSError as error:
            raise DataError(f"{file}: expected a CSV file, but it cannot be read ({error.strerror}).") from error

    def texts(self, name: str) -> list[str]:
        """Return a column as written."""
        name = composed(name)
        if self.names.count(name) != 1:
            raise self.invalid(f"one column {name}", f"{self.names.count(name)}")
        place = self.names.index(name)
        return [row[place] for row in self._rows]

    def kind(self, name: str) -> "pyarrow.DataType":  # noqa: ARG002  # all have the same type
        """Return the type of a column: text."""
        import pyarrow

        return pyarrow.string()

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """Return a column."""
        import pyarrow

        return pyarrow.chunked_array([self.texts(name)], pyarrow.string())

    def row(self, place: int) -> str:
        """Return the line of a row in the file."""
        return f"line {self._lines[place]}"

    def _decoded(self, content: bytes) -> str:
        if encoding := _wide_encoding(content):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise invalid(self.file, f"text in {encoding.upper()}", "other bytes") from error
        if b"\0" in content:
            line = content.count(b"\n", 0, content.index(b"\0")) + 1
            raise invalid(self.file, "text in UTF-8", f"other bytes in line {line}")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.notes = (
                f"The table is not text in UTF-8 (line {line}) and was read as Windows-1252; save it as UTF-8 if "
                "letters are wrong.",
            )
            try:
                return content.decode("cp1252")
            except UnicodeDecodeError:
                raise invalid(self.file, "text in UTF-8 or Windows-1252", f"other bytes in line {line}") from error


def _wide_encoding(content: bytes) -> str | None:
    """Detect UTF-16 and UTF-32 by byte order mark, or by zeros in the first characters; None for others."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    zeros = [place % 2 for place, byte in enumerate(content[:32]) if not byte]
    if len(zeros) > 4 and len(set(zeros)) == 1:
        return "utf-16-le" if zeros[0] else "utf-16-be"
    return None


_LIMIT = Lock()


@contextmanager
def _long_fields() -> Iterator[None]:
    """Increase the limit of Python's CSV reader, which applies to the whole process, within the block."""
    with _LIMIT:
        before = csv.field_size_limit(LONGEST_FIELD)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _header(text: str, mark: str) -> tuple[str, ...]:
    """Read the names of the columns with the delimiter `mark`."""
    with _long_fields():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
        return tuple(composed(name.strip()) for name in next(reader, []))
