"""Reads tables column by column, from CSV and Parquet files, and says where in the file a row is; for `table.py`."""

import csv
import io
import json
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


def open_table(file: Path, *, expected: Collection[str]) -> Table:
    """Open a file whose content tells whether it is CSV or Parquet.

    Args:
        file: The file.
        expected: Names of columns, by which the delimiter of a CSV file is recognised.

    Raises:
        DataError: The file is missing, damaged, empty, or of another kind.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
            if start != b"PAR1":
                return _Csv(file, start + stream.read(), expected)
    except OSError as error:
        raise DataError(f"{file}: expected a CSV or Parquet file, but it cannot be read ({error.strerror}).") from error
    return _Parquet(file)


class _Csv(Table):
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
        import pyarrow

        return pyarrow.string()

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        import pyarrow

        place = self.names.index(name)
        return pyarrow.chunked_array([[row[place] for row in self._rows]], pyarrow.string())

    def row(self, place: int) -> str:
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


class _Parquet(Table):
    """A Parquet file."""

    def __init__(self, file: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        self.file = file
        try:
            self._schema = pyarrow.parquet.read_schema(file)
        except (pyarrow.ArrowException, OSError) as error:
            raise broken(file, "a whole Parquet file", f"one that cannot be read ({error})") from error
        self.names = tuple(self._schema.names)
        self.class_names = _class_names(self._schema.metadata or {})

    def kind(self, name: str) -> "pyarrow.DataType":
        return self._schema.field(name).type

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.read_table(self.file, columns=[name], partitioning=None).column(name)
        except (pyarrow.ArrowException, OSError) as error:
            raise broken(self.file, "a whole Parquet file", f"one that cannot be read ({error})") from error

    def row(self, place: int) -> str:
        return f"row {place}"


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Find the class names that Hugging Face's libraries leave beside the columns; others leave none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: list(map(str, kind["names"])) for name, kind in features.items() if "names" in kind}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
