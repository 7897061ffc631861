"""An index in PostgreSQL: on one server, or divided by the hash of the id over several, whose results are merged.

Added rows are committed on all their servers when `add` returns. A batch is atomic on each server; if one of several
fails, the error reports it, and adding the same rows again completes it.

Letters: Q queries, E embedding dimension.
"""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from triptych.errors import SearchError
from triptych.search.calibration import Calibration
from triptych.search.conditions import Condition
from triptych.search.contract import Index, IndexInfo, IndexSettings, Match, check_new, found
from triptych.search.postgres.server import Server
from triptych.search.postgres.shard import MOST_DIMENSIONS, Shard, Stored
from triptych.search.rows import Floats, Rows

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class PostgresIndex(Index):
    """An index in one or several PostgreSQL databases with pgvector.

    Args:
        urls: One for each shard, in any order, as in "postgresql://user@host/database#photos".

    Raises:
        SearchError: A server cannot be reached, or these are not the shards of one index.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        shards = [Shard(Server(url)) for url in urls]
        self._threads = ThreadPoolExecutor(len(shards), thread_name_prefix="triptych-search")
        stored = [*self._threads.map(Shard.stored, shards)]
        places = ", ".join(shard.server.place for shard in shards)
        numbers = sorted(one.shard for one in stored)
        if len({one.group for one in stored}) > 1 or numbers != [*range(stored[0].shards)]:
            self._threads.shutdown()
            raise SearchError(
                f"Expected the {stored[0].shards} shards of one index, each once, got the shards "
                f"{', '.join(str(one.shard + 1) for one in stored)} at {places}. Give the URL of every shard."
            )
        by_number = {one.shard: shard for one, shard in zip(stored, shards, strict=True)}
        self._shards = [by_number[number] for number in numbers]

    @classmethod
    def create(cls, urls: Sequence[str], *, dimension: int, fingerprint: str, model: str | None = None) -> Self:
        """Create an empty index.

        Raises:
            SearchError: The index already exists, or a server does not have pgvector or cannot be reached.
        """
        check_new(dimension, fingerprint)
        if dimension > MOST_DIMENSIONS:
            raise SearchError(f"Expected an embedding dimension of at most {MOST_DIMENSIONS:,}, got {dimension:,}.")
        made: list[Shard] = []
        settings = {"fingerprint": fingerprint, "dimension": dimension, "model": model, "group": uuid.uuid4().hex}
        try:
            for number, url in enumerate(urls):
                shard = Shard(Server(url))
                shard.create(Stored.model_validate({**settings, "shard": number, "shards": len(urls)}))
                made.append(shard)
        except BaseException:
            for shard in made:
                shard.drop()
            raise
        return cls(urls)

    def settings(self) -> IndexSettings:
        """Return the settings of the index."""
        first = self._shards[0].stored()
        return IndexSettings(first.fingerprint, first.dimension, first.model, dict(first.columns), first.calibration)

    def info(self) -> IndexInfo:
        """Return the state of the index."""
        stored = self._each(Shard.stored)
        counts = self._each(Shard.counts)
        graphs = [rows for one, (rows, _) in zip(stored, counts, strict=True) if one.ef_search is not None]
        return IndexInfo(
            location=" ".join(shard.server.place for shard in self._shards),
            back_end="postgres",
            rows=sum(rows for rows, _ in counts),
            deleted=None,
            size=sum(size for _, size in counts),
            parts=len(stored),
            approximate_rows=sum(graphs),
            recall=min((one.recall for one in stored if one.recall is not None), default=None),
            settings=self.settings(),
        )

    def compact(self) -> None:
        """Free space of deleted rows; build the HNSW index of a shard of 50,000 rows or more that has none."""
        self._each(Shard.compact)

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store the threshold of "no match", or remove it."""
        self._shards[0].change(calibration=calibration)

    def close(self) -> None:
        """Close the connections."""
        for shard in self._shards:
            shard.server.close()
        self._threads.shutdown()

    def _add(self, rows: Rows) -> None:
        known = self.settings().columns
        if any(name not in known for name in rows.columns):
            # The first shard last: its columns are those that a search may name.
            for shard in reversed(self._shards):
                shard.change(columns=rows.columns)
        owners = self._owners(rows.ids)

        def add(shard: Shard) -> None:
            chosen = np.flatnonzero(owners == self._shards.index(shard))
            if len(chosen):
                shard.add(rows.take(chosen))

        self._each(add)

    def _delete(self, ids: "pa.Array") -> int:
        return sum(self._each(lambda shard: shard.delete(ids)))

    def _search(self, queries: Floats, k: int, condition: Condition | None, *, exact: bool) -> list[list[Match]]:
        settings = self.settings()
        parts = self._each(lambda shard: shard.search(queries, k, condition, exact=exact))
        results = []
        for number in range(len(queries)):
            merged = sorted((row for part in parts for row in part[number]), key=lambda row: (-row[0], row[1]))
            results.append([found(settings, name, score, values) for score, name, values in merged[:k]])
        return results

    def _owners(self, ids: "pa.Array") -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Return the number of the shard that each id belongs to."""
        if len(self._shards) == 1:
            return np.zeros(len(ids), np.int64)
        return np.array([shard_of(name, len(self._shards)) for name in ids.to_pylist()], np.int64)

    def _each(self, call: Callable[[Shard], T]) -> list[T]:
        """Call a function with every shard concurrently, and return the results in the shards' order."""
        if len(self._shards) == 1:
            return [call(self._shards[0])]
        return [*self._threads.map(call, self._shards)]


def shard_of(name: str, shards: int) -> int:
    """Return the shard that an id belongs to; the same on every machine and in every version.

    Example:
        >>> [shard_of(f"{number}.png", 2) for number in range(6)]
        [0, 0, 0, 0, 1, 1]
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % shards
