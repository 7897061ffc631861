"""Reader of Parquet files: columns of values, and encoded images that are read on access."""

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from triptych.data.invalid import invalid, regular_file
from triptych.data.listing import LazySources
from triptych.data.own.columns import Table
from triptych.data.pixels.opening import Source

if TYPE_CHECKING:
    import pyarrow

ROW_GROUPS = 2
"""Number of row groups in memory: threads that decode in order use one, or one and the next."""


class ParquetTable(Table):
    """The columns of a Parquet file.

    Raises:
        DataError: It is missing or damaged; also raised when a column is read.
    """

    def __init__(self, file: Path) -> None:
        import pyarrow.parquet

        self.file = file
        with _reading(file):
            self._schema = pyarrow.parquet.read_schema(file)
        self.names = tuple(self._schema.names)
        self.class_names = _class_names(self._schema.metadata or {})

    def kind(self, name: str) -> "pyarrow.DataType":
        """Return the type of a column."""
        return self._schema.field(name).type

    def column(self, name: str) -> "pyarrow.ChunkedArray":
        """Read a column; raises DataError if it is damaged."""
        import pyarrow.parquet

        with _reading(self.file):
            return pyarrow.parquet.read_table(self.file, columns=[name], partitioning=None).column(name)

    def row(self, place: int) -> str:
        """Return the location of a row in the file."""
        return f"row {place}"


class ParquetImages(LazySources):
    """The images of a Parquet file: a column of bytes, or of Hugging Face's {bytes, path}.

    The file is read by row groups, of which the last two stay in memory; read images in order. Reading is thread-safe.
    A missing image is returned as empty bytes, whose decoding gives a clear message.

    Args:
        file: The Parquet file. Paths in it are relative to its folder.
        column: The column of images.

    Raises:
        DataError: The file is damaged; also raised when images are read.
    """

    def __init__(self, file: Path, column: str) -> None:
        import pyarrow.parquet

        self._file = file
        self._column = column
        with _reading(file):
            self._metadata = pyarrow.parquet.read_metadata(file)
        sizes = (self._metadata.row_group(number).num_rows for number in range(self._metadata.num_row_groups))
        self._firsts: list[int] = list(accumulate(sizes, initial=0))
        self._kept: OrderedDict[int, pyarrow.ChunkedArray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return self._firsts[-1]

    def identity(self) -> tuple[str | Path, ...] | None:
        """Return the file and the column, unless rows can refer to other files."""
        if any(self._may_name_files(number) for number in range(self._metadata.num_row_groups)):
            return None
        return (self._file, f"column {self._column}")

    def at(self, place: int) -> Source:
        """Return the image in a row."""
        number = bisect_right(self._firsts, place) - 1
        value = self._row_group(number)[place - self._firsts[number]].as_py()
        return embedded(value, self._file.parent)

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        """Pickle only the path and column, so that other processes open the file themselves."""
        return ParquetImages, (self._file, self._column)

    def _may_name_files(self, number: int) -> bool:
        """Return whether rows of a group have no bytes, so that their path is used."""
        group = self._metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        statistics = [one.statistics for one in columns if one.path_in_schema == f"{self._column}.bytes"]
        return any(found is None or not found.has_null_count or found.null_count > 0 for found in statistics)

    def _row_group(self, number: int) -> "pyarrow.ChunkedArray":
        import pyarrow.parquet

        with self._lock:
            if number not in self._kept:
                with _reading(self._file), pyarrow.parquet.ParquetFile(self._file, metadata=self._metadata) as file:
                    self._kept[number] = file.read_row_group(number, columns=[self._column]).column(self._column)
                if len(self._kept) > ROW_GROUPS:
                    self._kept.popitem(last=False)
            return self._kept[number]


def embedded(cell: Any, folder: Path) -> Source:  # noqa: ANN401  # any value in a file
    """Return the image in a cell of bytes or of {bytes, path}; a relative path is below `folder`."""
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    return folder / path if path and content is None else bytes(content or b"")


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Convert the library's errors about a missing or damaged file to a DataError."""
    import pyarrow

    regular_file(file, "a Parquet file")
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise invalid(file, "a whole Parquet file", f"one that cannot be read ({error})") from error


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Find the class names that Hugging Face's libraries store as metadata; other writers store none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: list(map(str, kind["names"])) for name, kind in features.items() if "names" in kind}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
