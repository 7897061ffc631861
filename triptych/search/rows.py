"""Rows of an index: ids, unit vectors and metadata columns, validated and normalised.

Letters: N rows, E embedding dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import SearchError
from triptych.search.conditions import Kind
from triptych.search.filters import arrow_types

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float32]

LONGEST_ID = 1024
"""Maximum size of an id in UTF-8 bytes, near the limit of PostgreSQL's indexes."""
LONGEST_NAME = 63
"""Maximum size of a column's name in bytes; PostgreSQL truncates longer ones."""
MOST_COLUMNS = 200
RESERVED = ("id", "embedding", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
"""Names that are reserved by the index or PostgreSQL."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to add.

    Attributes:
        ids: (N,) large_string, each once.
        vectors: (N, E) float32, of length 1.
        metadata: The columns that were given, N long, of the types of `arrow_types`.
        columns: Kind of each of all columns of the index from now on.
    """

    ids: "pa.Array"
    vectors: Floats
    metadata: "dict[str, pa.Array]"
    columns: dict[str, Kind]

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> "pa.Array":
        """Return a column of the index; one that was not given has no values."""
        import pyarrow as pa

        return self.metadata.get(name, pa.nulls(len(self), arrow_types()[self.columns[name]]))

    def take(self, rows: NDArray[np.int64]) -> "Rows":
        """Return some of the rows."""
        metadata = {name: column.take(rows) for name, column in self.metadata.items()}
        return Rows(self.ids.take(rows), self.vectors[rows], metadata, self.columns)


def check_rows(
    ids: Sequence[str], vectors: object, metadata: Mapping[str, Any] | None, *, dimension: int, columns: dict[str, Kind]
) -> Rows:
    """Validate and normalise rows; if an id occurs twice, the last row is used.

    Args:
        ids: N texts of 1 to 1,024 bytes.
        vectors: (N, E) numbers that are finite and not all zero; they are scaled to length 1.
        metadata: Columns of N values by name, or a `pyarrow.Table`: text, integers, numbers, booleans or missing.
        dimension: E.
        columns: The columns of the index until now.

    Raises:
        SearchError: An argument is invalid.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = _texts("ids", pa.array([]) if len(ids) == 0 else _array("ids", ids))
    if names.null_count or pc.any(pc.equal(pc.binary_length(names), 0)).as_py():
        raise SearchError("Expected ids that are texts of at least one character, got an empty one.")
    if len(names) and (longest := pc.max(pc.binary_length(names)).as_py()) > LONGEST_ID:
        raise SearchError(f"Expected ids of at most {LONGEST_ID:,} bytes, got one of {longest:,}. Use shorter paths.")
    units = unit_vectors(vectors, dimension=dimension, name="vectors")
    if len(units) != len(names):
        raise SearchError(f"Expected one vector for each of the {len(names):,} ids, got {len(units):,} vectors.")
    given = {}
    if isinstance(metadata, pa.Table):
        metadata = dict(zip(metadata.column_names, metadata.columns, strict=True))
    for name, values in (metadata or {}).items():
        column = _array(name, values)
        if len(column) != len(names):
            raise SearchError(f"Expected {len(names):,} values of {name!r}, one for each id, got {len(column):,}.")
        if (typed := _typed(name, column, columns.get(name))) is not None:
            given[name] = typed[1]
            columns = {**columns, name: typed[0]}
    if len(columns) > MOST_COLUMNS:
        raise SearchError(f"Expected at most {MOST_COLUMNS} columns of metadata, got {len(columns)}.")
    keep = _last_of_each(names)
    if keep is not None:
        names, units = names.take(keep), units[keep.to_numpy()]
        given = {name: column.take(keep) for name, column in given.items()}
    return Rows(names, units, given, columns)


def unit_vectors(vectors: object, *, dimension: int, name: str) -> Floats:
    """Return vectors (N, E) scaled to length 1, in float32.

    Raises:
        SearchError: The shape is wrong, a value is NaN or infinite, or a vector is all zeros.
    """
    try:
        given = np.asarray(vectors)
        if given.dtype.kind not in "fiu":
            raise TypeError(f"the type is {given.dtype}")
    except Exception as error:
        raise SearchError(f"Expected {name} as an array of numbers (N, {dimension}), but {error}.") from None
    if given.ndim != 2 or given.shape[1] != dimension:
        raise SearchError(
            f"Expected {name} of the shape (N, {dimension}), the embedding dimension of the index, got {given.shape}."
        )
    wide = given.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
        wrong = ~np.isfinite(largest[:, 0]) | (largest[:, 0] == 0)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            found = "only zeros" if largest[row, 0] == 0 else "NaN or infinity"
            raise SearchError(
                f"Expected {name} that are finite and not zero, but row {row} has {found}; {int(wrong.sum()):,} of "
                f"{len(wide):,} rows are so. Check the images and the model."
            )
        wide /= largest  # squares neither overflow nor underflow
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return np.ascontiguousarray(wide, dtype=np.float32)


def join_columns(now: Mapping[str, Kind], added: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the columns of an index and those of rows that were checked against an earlier state of it.

    Raises:
        SearchError: Another writer has added a column of another kind since.
    """
    for name, kind in added.items():
        if now.get(name, kind) != kind:
            raise SearchError(f"Expected values of the kind {now[name]} in column {name!r}, as before, got {kind}.")
    return {**now, **added}


def check_ids(ids: Sequence[str]) -> "pa.Array":
    """Check ids to delete."""
    import pyarrow as pa

    return _texts("ids", pa.array([]) if len(ids) == 0 else _array("ids", ids))


def _array(name: str, values: Any) -> "pa.Array":  # noqa: ANN401 - anything that Arrow accepts
    import pyarrow as pa

    if isinstance(values, str | bytes):
        raise SearchError(f"Expected {name!r} as a sequence of values, got one text. Put it into a list.")
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    try:
        # from_pandas: NaN is a missing value, in both back ends
        array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError, ValueError) as error:
        raise SearchError(f"Expected {name!r} as texts, integers, numbers or booleans of one kind: {error}.") from None
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _texts(name: str, array: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (_is_text(array.type) or pa.types.is_null(array.type)):
        raise SearchError(f"Expected {name!r} as texts, got values of the type {array.type}.")
    array = array.cast(pa.large_string())
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise SearchError(f"Expected {name!r} in UTF-8: {error}.") from None
    if pc.any(pc.match_substring(array, "\0")).as_py():
        raise SearchError(f"Expected {name!r} without NUL characters.")
    return array


def _typed(name: str, array: "pa.Array", kind: Kind | None) -> "tuple[Kind, pa.Array] | None":
    """Return a column's kind and its values in that kind's type; None if it has neither values nor a kind yet."""
    import pyarrow as pa
    import pyarrow.compute as pc

    _check_name(name)
    found: Kind | None
    if pa.types.is_null(array.type):
        return None if kind is None else (kind, array.cast(arrow_types()[kind]))
    if _is_text(array.type):
        found = "text"
    elif pa.types.is_boolean(array.type):
        found = "boolean"
    elif pa.types.is_integer(array.type):
        found = "number" if kind == "number" else "integer"
    elif pa.types.is_floating(array.type):
        found = "number"
    else:
        raise SearchError(
            f"Expected column {name!r} as texts, integers, numbers or booleans, got the type {array.type}. Convert it "
            "first; dates as text in ISO form keep their order."
        )
    if kind is not None and found != kind:
        raise SearchError(f"Expected values of the kind {kind} in column {name!r}, as before, got the kind {found}.")
    if found == "text":
        return found, _texts(name, array)
    try:
        array = array.cast(arrow_types()[found], safe=found == "integer")
    except pa.ArrowInvalid as error:
        raise SearchError(f"Expected 64-bit integers in column {name!r}: {error}.") from None
    if found == "number":
        array = pc.if_else(pc.is_nan(array), None, pc.add(array, 0.0))  # NaN is missing, -0.0 is 0.0
    return found, array


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 1 <= len(name.encode(errors="replace")) <= LONGEST_NAME or "\0" in name:
        raise SearchError(f"Expected names of columns of 1 to {LONGEST_NAME} bytes, got {name!r}.")
    if name.lower() in RESERVED:
        raise SearchError(f"Expected another name than {name!r} for a column: the index uses {', '.join(RESERVED)}.")


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _last_of_each(names: "pa.Array") -> "pa.Array | None":
    """Return the numbers of each id's last row, in order; None if no id occurs twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(names).as_py() == len(names):
        return None
    table = pa.table({"name": names, "row": np.arange(len(names))})
    last = table.group_by("name").aggregate([("row", "max")])["row_max"].combine_chunks()
    return last.take(pc.sort_indices(last))
