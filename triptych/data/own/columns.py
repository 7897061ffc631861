"""Tables column by column, and the reader of CSV files; `parquet.py` reads the others."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.data.broken import broken
from triptych.errors import DataError

if TYPE_CHECKING:
    import pyarrow

DELIMITERS = (",", ";", "\t", "|")


class Table(ABC):
    """A file of rows and columns.

    Attributes:
        file: The file.
        names: The columns.
        class_names: For columns of numbers, what these stand for, where the file tells that.
    """

    file: Path
    names: tuple[str, ...]
    class_names: dict[str, list[str]]

    @abstractmethod
    def kind(self, name: str) -> "pyarrow.DataType":
        """Return the type of a column."""

    @abstractmethod
    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """Read a column; raises DataError where it is damaged."""

    @abstractmethod
    def row(self, place: int) -> str:
        """Say where a row is in the file."""

    def mistake(self, expected: str, received: str, remedy: str = "Mend the table.") -> DataError:
        """Make the error that says what is wrong with the file."""
        return DataError(f"{self.file}: expected {expected}, but received {received}. {remedy}")


class CsvTable(Table):
    """A CSV file, read by Python's reader: unlike pyarrow's it tells the line of every mistake."""

    def __init__(self, file: Path, content: bytes, expected: Collection[str]) -> None:
        self.file = file
        self.class_names = {}
        text = self._decoded(content)
        headers = {mark: _header(text, mark) for mark in DELIMITERS}
        delimiter = max(DELIMITERS, key=lambda mark: (len(set(expected) & set(headers[mark])), len(headers[mark])))
        self.names = headers[delimiter]
        self._rows: list[list[str]] = []
        self._lines: list[int] = []
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            next(reader, None)
            for row in filter(None, reader):
                if len(row) != len(self.names):
                    received = f"{len(row)} in line {reader.line_num}"
                    raise self.mistake(f"{len(self.names)} values in every row, as its first line has names", received)
                self._rows.append(row)
                self._lines.append(reader.line_num)
        except csv.Error as error:
            raise self.mistake("a CSV file", f"something else in line {reader.line_num} ({error})") from error

    def kind(self, name: str) -> "pyarrow.DataType":  # noqa: ARG002  # all are alike
        """Return the type of a column: text."""
        import pyarrow

        return pyarrow.string()

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """Return a column."""
        import pyarrow

        place = self.names.index(name)
        return pyarrow.chunked_array([[row[place] for row in self._rows]], pyarrow.string())

    def row(self, place: int) -> str:
        """Return the line of a row in the file."""
        return f"line {self._lines[place]}"

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
            raise broken(self.file, "text in UTF-8", "UTF-16" if is_utf16 else f"other bytes in line {line}") from error


def _header(text: str, mark: str) -> tuple[str, ...]:
    """Read the names of the columns as they are if `mark` separates them."""
    start = io.StringIO(text[:65536], newline="")
    return tuple(name.strip() for name in next(csv.reader(start, delimiter=mark), []))
