"""Images by the places of a job's list, read by threads; tables and data sets are opened once."""

from pathlib import Path
from threading import Lock
from typing import Any

from triptych.artefacts.embedding.sources import SPLIT, KnownSplit, open_split
from triptych.artefacts.embedding.tables import ROW, row_bytes
from triptych.data.pixels.opening import NOT_UTF8, UndecodableImage

REPLACED = "\N{REPLACEMENT CHARACTER}"
"""Stands in the list for bytes of a file's name that are not valid UTF-8."""


class SourceReader:
    """Reads images of a job. Threads may read at once, in the order of the list at best."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._splits: dict[str, KnownSplit] = {}
        self._tables: dict[str, _Table] = {}

    def read(self, place: str) -> Any:  # noqa: ANN401 - an image of any kind that `Preprocessing.known` takes
        """Return a file to be opened, the bytes of an image, or its pixels as a tensor (C, H, W).

        Raises:
            OSError: A URL cannot be read.
            UndecodableImage: The name of a file is not valid UTF-8, so that no table can contain it.
            DataError: A table or data set cannot be opened.
        """
        name, _, number = place.rpartition("#")
        if number.isdecimal() and SPLIT.fullmatch(name):
            split = self._split(name)
            return split.images[split.first + int(number)]
        table, found, row = place.rpartition(ROW)
        if found and row.isdecimal() and "://" not in place:
            with self._lock:
                opened = self._tables.setdefault(table, _Table(Path(table)))
                return opened.image(int(row))
        if "://" not in place:
            if REPLACED in place and not Path(place).exists():
                raise UndecodableImage(NOT_UTF8)
            return Path(place)
        import fsspec

        with fsspec.open(place, "rb") as stream:
            content: bytes = stream.read()
        return content

    def _split(self, name: str) -> KnownSplit:
        with self._lock:
            if name not in self._splits:
                self._splits[name] = open_split(name)
            return self._splits[name]


class _Table:
    """The images in a Parquet file, of which one row group is kept."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: tuple[int, Any] | None = None
        self._ends: list[int] | None = None
        self._column = "image"

    def image(self, row: int) -> bytes | Path:
        """Return the image in a row."""
        from bisect import bisect_right
        from itertools import accumulate

        import pyarrow.parquet as pq

        if self._ends is None:
            metadata = pq.read_metadata(self._file)
            sizes = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
            self._ends = list(accumulate(sizes))
            names = pq.read_schema(self._file).names
            self._column = "image" if "image" in names else "path"
        group = bisect_right(self._ends, row)
        first = self._ends[group - 1] if group else 0
        if self._kept is None or self._kept[0] != group:
            with pq.ParquetFile(self._file) as file:
                self._kept = (group, file.read_row_group(group, columns=[self._column]).column(0))
        return row_bytes(self._kept[1], row - first, self._file.parent)
