"""A segment: rows that were written together into one Arrow file, which is memory-mapped and never changed.

Columns `id`, `embedding` (fixed-size list of float32), and the metadata of its rows. A separate file lists deleted
rows, another contains codes for approximate search. Letters: N rows, Q queries, E embedding dimension.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from triptych.errors import SearchError
from triptych.files import replacing
from triptych.search.conditions import Condition, Kind, columns_of
from triptych.search.contract import Metadata
from triptych.search.embedded.codes import Codes
from triptych.search.embedded.manifest import StoredCodes, StoredDeletions, StoredFile, StoredSegment
from triptych.search.embedded.nearest import Rows, nearest
from triptych.search.filters import arrow_expression, arrow_types
from triptych.search.rows import Floats

if TYPE_CHECKING:
    import pyarrow as pa

EXACT_BELOW = 4
"""Filtered rows are searched exactly if their square is below this multiple of depth times rows: it is faster."""


class Segment:
    """A segment that is open for reading.

    Args:
        folder: The folder of the index.
        stored: Its entry in the manifest.
        dimension: E.
        columns: Kinds of the index's columns.
        earlier: An earlier state of the segment, whose open files are reused.

    Raises:
        SearchError: A file differs from the manifest, or does not belong to such an index.
        FileNotFoundError: A file is missing; a writer may have replaced it.
    """

    def __init__(
        self,
        folder: Path,
        stored: StoredSegment,
        *,
        dimension: int,
        columns: Mapping[str, Kind],
        earlier: "Segment | None" = None,
    ) -> None:
        self.stored = stored
        self._folder = folder
        self._dimension = dimension
        self.table: pa.Table
        self.codes: Codes | None
        self._last_match: tuple[Condition, Rows] | None = None
        if earlier is not None and earlier.stored.data == stored.data:
            self.table = earlier.table
            self.codes = earlier.codes
        else:
            path = folder / stored.data_name()
            _check_size(path, stored.data)
            self.table = _map(path, stored.rows, dimension, columns)
            self.codes = self._read_codes()
        self.vectors = _vectors(self.table, dimension)
        self.deleted = self._read_deleted()

    @cached_property
    def details(self) -> "pa.Table":
        """The rows without their vectors."""
        return self.table.drop_columns(["embedding"])

    @cached_property
    def alive(self) -> Rows | None:
        """The rows that are not deleted, in order; None is all."""
        if self.deleted is None:
            return None
        return np.setdiff1d(np.arange(self.stored.rows), self.deleted, assume_unique=True)

    def find(self, ids: "pa.Array") -> Rows:
        """Return the rows with one of these ids, without deleted ones, in order."""
        import pyarrow.compute as pc

        rows = np.flatnonzero(pc.is_in(self.table["id"].chunk(0), value_set=ids).to_numpy(zero_copy_only=False))
        if self.deleted is None:
            return rows
        left: Rows = np.setdiff1d(rows, self.deleted, assume_unique=True)
        return left

    def matching(self, condition: Condition, columns: Mapping[str, Kind]) -> Rows:
        """Return the rows for which a condition is true, without deleted ones, in order."""
        import pyarrow as pa

        known = self._last_match
        if known is not None and known[0] == condition:
            return known[1]
        read = columns_of(condition)
        table = self.table.select([name for name in self.table.column_names if name in read])
        for name in read - set(table.column_names):
            table = table.append_column(name, pa.nulls(self.stored.rows, arrow_types()[columns[name]]))
        # No metadata column has this name, so that it is free for the row numbers.
        table = table.append_column("embedding", pa.array(np.arange(self.stored.rows)))
        rows: Rows = table.filter(arrow_expression(condition, columns))["embedding"].to_numpy()
        if self.deleted is not None:
            rows = np.setdiff1d(rows, self.deleted, assume_unique=True)
        self._last_match = (condition, rows)
        return rows

    def read(self, rows: Rows) -> list[Metadata]:
        """Return id and metadata of some rows."""
        import pyarrow as pa

        read: list[Metadata] = self.details.take(pa.array(rows)).to_pylist()
        return read

    def search(self, queries: Floats, k: int, among: Rows | None, *, exact: bool) -> tuple[Floats, Rows]:
        """Return scores and numbers (Q, at most k) of the nearest rows, nearest first.

        Args:
            queries: (Q, E).
            k: Number of rows.
            among: The rows to search, without deleted ones; None is every row.
            exact: Whether to compare with all of them, or only with candidates by their codes.
        """
        count = self.stored.rows if among is None else len(among)
        if not exact and self.codes is not None:
            depth = self.codes.depth_for(k)
            if count > depth and count**2 > EXACT_BELOW * depth * self.stored.rows:
                return self._approximate(queries, k, depth, among)
        return nearest(queries, self.vectors, k, among)

    def _approximate(self, queries: Floats, k: int, depth: int, among: Rows | None) -> tuple[Floats, Rows]:
        """Compare with `depth` candidates among the searched rows; with all if there are too few candidates.

        The candidates are the best by code among the searched rows only, so that a filter does not reduce recall.
        """
        assert self.codes is not None
        fetched, counts = depth, None
        if among is not None:
            counts = np.zeros(self.stored.rows, np.bool_)
            counts[among] = True
            fetched = min(self.stored.rows, 50 + round(1.2 * depth * self.stored.rows / len(among)))
        scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for number, candidates in enumerate(self.codes.candidates(queries, fetched)):
            chosen = candidates if counts is None else candidates[counts[candidates]]
            enough = np.sort(chosen[:depth]) if len(chosen) >= depth else among
            scores[number], rows[number] = nearest(queries[number : number + 1], self.vectors, k, enough)
        return scores, rows

    def verify(self) -> None:
        """Compare the rows with their digest.

        Raises:
            SearchError: They differ from the written rows.
        """
        _check_digest(self._folder / self.stored.data_name(), self.stored.data)

    def _read_deleted(self) -> Rows | None:
        stored = self.stored.deletions
        if stored is None:
            return None
        path = self._folder / self.stored.deletions_name(stored.generation)
        _check_digest(path, stored)
        try:
            rows: Rows = np.load(path, allow_pickle=False)
        except ValueError:
            raise SearchError(f"{path}: expected the numbers of deleted rows. Make the index again.") from None
        if rows.dtype != np.int64 or rows.shape != (stored.rows,) or (np.diff(rows) <= 0).any():
            raise SearchError(f"{path}: expected {stored.rows:,} rising numbers of rows. Make the index again.")
        if rows[0] < 0 or rows[-1] >= self.stored.rows:
            raise SearchError(f"{path}: expected numbers below {self.stored.rows:,}. Make the index again.")
        return rows

    def _read_codes(self) -> Codes | None:
        stored = self.stored.codes
        if stored is None:
            return None
        path = self._folder / self.stored.codes_name()
        _check_digest(path, stored)
        return Codes.read(path, stored, rows=self.stored.rows, dimension=self._dimension)


def write_segment(folder: Path, number: int, table: "pa.Table", *, with_codes: bool) -> StoredSegment:
    """Write and sync rows and their codes; the manifest must be updated next."""
    import pyarrow as pa

    stored = StoredSegment(number=number, rows=len(table), data=StoredFile(bytes=0, sha256="0" * 64))
    path = folder / stored.data_name()
    table = table.combine_chunks()
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table, max_chunksize=len(table))
    stored = stored.model_copy(update={"data": describe_file(path)})
    dimension = table.schema.field("embedding").type.list_size
    codes = Codes.make(_vectors(table, dimension)) if with_codes else None
    if codes is None:
        return stored
    path = folder / stored.codes_name()
    with replacing(path) as temporary:
        codes.write(temporary)
    file = describe_file(path)
    return stored.model_copy(
        update={"codes": StoredCodes(bytes=file.bytes, sha256=file.sha256, depth=codes.depth, recall=codes.recall)}
    )


def write_deletions(folder: Path, stored: StoredSegment, rows: Rows, generation: int) -> StoredSegment:
    """Write and sync the list of all deleted rows of a segment, in order."""
    path = folder / stored.deletions_name(generation)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows.astype(np.int64))
    digest = describe_file(path)
    deletions = StoredDeletions(bytes=digest.bytes, sha256=digest.sha256, generation=generation, rows=len(rows))
    return stored.model_copy(update={"deletions": deletions})


def describe_file(path: Path) -> StoredFile:
    """Return the size and the digest of a file."""
    with path.open("rb") as file:
        return StoredFile(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _check_size(path: Path, stored: StoredFile) -> None:
    if (size := path.stat().st_size) != stored.bytes:
        raise SearchError(
            f"{path}: expected {stored.bytes:,} bytes, got {size:,}: the file is damaged. Make the index again, or "
            "copy it from a backup."
        )


def _check_digest(path: Path, stored: StoredFile) -> None:
    _check_size(path, stored)
    if describe_file(path).sha256 != stored.sha256:
        raise SearchError(
            f"{path}: expected the bytes that were written, got others: the file is damaged. Make the index again, or "
            "copy it from a backup."
        )


def _map(path: Path, rows: int, dimension: int, columns: Mapping[str, Kind]) -> "pa.Table":
    """Map the file of a segment, and check its non-numeric content, because the file may be untrusted."""
    import pyarrow as pa

    types = {"id": pa.large_string(), "embedding": pa.list_(pa.float32(), dimension)}
    types |= {name: arrow_types()[kind] for name, kind in columns.items()}
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate()
        table.drop_columns(["embedding"]).validate(full=True)
        problem = next((field.name for field in table.schema if types.get(field.name) != field.type), "")
        if problem or len(set(table.column_names)) != len(table.column_names):
            raise pa.ArrowInvalid(f"column {problem or 'names come twice'} is not one of the index")
        if len(table) != rows or table["id"].null_count or table["embedding"].null_count or table["id"].num_chunks != 1:
            raise pa.ArrowInvalid(f"there are not {rows:,} whole rows")
        if table["embedding"].chunk(0).values.null_count:
            raise pa.ArrowInvalid("numbers are missing")
    except (pa.ArrowException, KeyError) as error:
        raise SearchError(f"{path}: expected a segment of a search index, but {error}. Make the index again.") from None
    return table


def _vectors(table: "pa.Table", dimension: int) -> Floats:
    vectors: NDArray[np.float32] = table["embedding"].chunk(0).flatten().to_numpy(zero_copy_only=True)
    return vectors.reshape(-1, dimension)
