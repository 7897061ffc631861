"""The interface of search indexes: add, delete, search, info, with the common checks.

Letters: N rows, Q queries, E embedding dimension.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from triptych.errors import SearchError
from triptych.search.calibration import Calibration
from triptych.search.conditions import Condition, Kind
from triptych.search.rows import Floats, Rows, check_ids, check_rows, unit_vectors
from triptych.search.where import parse_where

if TYPE_CHECKING:
    import pyarrow as pa

Metadata = dict[str, str | int | float | bool | None]

MOST_RESULTS = 10_000


@dataclass(frozen=True, slots=True)
class Match:
    """An image found by a search.

    Attributes:
        id: Its id.
        score: Cosine similarity with the query, in [-1, 1].
        metadata: Its values in every column of the index; None if missing.
        matches: Whether the score reaches the calibrated threshold; None if the index has no threshold.
    """

    id: str
    score: float
    metadata: Metadata = field(default_factory=dict)
    matches: bool | None = None


def found(settings: "IndexSettings", id: str, score: float, values: Metadata) -> Match:
    """Return a found row as a match, with the result of the threshold."""
    calibration = settings.calibration
    metadata = {name: values.get(name) for name in settings.columns}
    return Match(id, score, metadata, None if calibration is None else score >= calibration.threshold)


@dataclass(frozen=True)
class IndexSettings:
    """Settings of an index.

    Attributes:
        fingerprint: Fingerprint of the model of its vectors.
        dimension: E.
        model: Path of the model when the index was created; a hint for users and for `triptych search`.
        columns: Kind of each metadata column.
        calibration: The threshold of "no match", if chosen.
    """

    fingerprint: str
    dimension: int
    model: str | None
    columns: dict[str, Kind]
    calibration: Calibration | None


@dataclass(frozen=True)
class IndexInfo:
    """The state of an index.

    Attributes:
        location: Folder, or URLs without passwords.
        back_end: "embedded" or "postgres".
        rows: Number of images.
        deleted: Rows that were deleted or replaced and still take space; None if the engine does not count them.
        size: Size on disk in bytes.
        parts: Number of segments or shards.
        approximate_rows: Number of rows that are searched approximately unless `exact`.
        recall: recall@10 of the approximate search, measured on vectors of the index when it was built; the minimum
            over all parts.
        settings: Fingerprint, dimension, columns, threshold.
    """

    location: str
    back_end: str
    rows: int
    deleted: int | None
    size: int
    parts: int
    approximate_rows: int
    recall: float | None
    settings: IndexSettings


class Index(ABC):
    """Vectors of one model with ids and metadata.

    Every method uses the latest complete state. An index is thread-safe.

    Raises:
        SearchError: In every method: the arguments are invalid or belong to another model; the index is damaged, in use
            by another writer, or not reachable.
    """

    def add(
        self, ids: Sequence[str], vectors: object, metadata: Mapping[str, Any] | None = None, *, fingerprint: str
    ) -> None:
        """Add rows, and replace those with the same id; they are on disk on return.

        Args:
            ids: N texts, such as paths.
            vectors: (N, E) embeddings; they are scaled to length 1.
            metadata: Columns of N values by name, or a `pyarrow.Table`. A new name adds a column; rows without a value
                in a column have None there.
            fingerprint: Fingerprint of the model that made the vectors.
        """
        settings = self.settings()
        _check_fingerprint(settings, fingerprint, "The vectors")
        rows = check_rows(ids, vectors, metadata, dimension=settings.dimension, columns=settings.columns)
        if len(rows):
            self._add(rows)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove rows by id, on disk on return, and return their number; unknown ids are ignored."""
        checked = check_ids(ids)
        return self._delete(checked) if len(checked) else 0

    def search(
        self, queries: object, k: int = 10, *, where: str | None = None, exact: bool = False, fingerprint: str
    ) -> list[list[Match]]:
        """Find the k nearest rows of each query, nearest first; fewer only if fewer satisfy the filter.

        Args:
            queries: (Q, E) embeddings, of any non-zero length.
            k: 1 to 10,000.
            where: A filter over the metadata, as in `label = 'cat' and probability > .9`; see `search/where.py`.
            exact: Compare with every row; otherwise large indexes are searched approximately.
            fingerprint: Fingerprint of the model that made the queries.

        Returns:
            For each query its matches.
        """
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_RESULTS:
            raise SearchError(f"Expected k as a whole number from 1 to {MOST_RESULTS:,}, got {k!r}.")
        settings = self.settings()
        _check_fingerprint(settings, fingerprint, "The queries")
        units = unit_vectors(queries, dimension=settings.dimension, name="queries")
        condition = None if where is None else parse_where(where, settings.columns)
        return self._search(units, k, condition, exact=exact)

    @abstractmethod
    def settings(self) -> IndexSettings:
        """Return the settings of the index."""

    @abstractmethod
    def info(self) -> IndexInfo:
        """Return the state of the index."""

    @abstractmethod
    def compact(self) -> None:
        """Free the space of deleted rows, and prepare large indexes for approximate search; useful after many adds."""

    @abstractmethod
    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store the threshold of "no match", or remove it."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; the index must not be used afterwards."""

    @abstractmethod
    def _add(self, rows: Rows) -> None: ...

    @abstractmethod
    def _delete(self, ids: "pa.Array") -> int: ...

    @abstractmethod
    def _search(self, queries: Floats, k: int, condition: Condition | None, *, exact: bool) -> list[list[Match]]: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_new(dimension: int, fingerprint: str) -> None:
    """Check the settings of a new index.

    Raises:
        SearchError: The dimension is not from 1 to 16,384, or the fingerprint is not printable text.
    """
    if not isinstance(dimension, int) or not 1 <= dimension <= 16_384:
        raise SearchError(f"Expected an embedding dimension from 1 to 16,384, got {dimension!r}.")
    if not isinstance(fingerprint, str) or not fingerprint.isprintable() or not 1 <= len(fingerprint) <= 200:
        raise SearchError(f"Expected the fingerprint of a model, a text of 1 to 200 characters, got {fingerprint!r}.")


def _check_fingerprint(settings: IndexSettings, fingerprint: str, what: str) -> None:
    if fingerprint != settings.fingerprint:
        origin = f" ({settings.model})" if settings.model else ""
        raise SearchError(
            f"{what} come from the model {fingerprint}, but the index holds vectors of the model "
            f"{settings.fingerprint}{origin}; distances between two models mean nothing. Use the index's model, or "
            "index the images again with the other one."
        )
