"""The embedded index: append-only segments, files of deletions, and a manifest that is replaced atomically.

A change writes and syncs its files, and then replaces the manifest: before that the old state is complete, afterwards
the new one. Readers compare the manifest's bytes with the known ones at every call, and map new files. The writer
removes files that the manifest no longer lists; a reader that still has them mapped keeps them.
"""

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from triptych.errors import SearchError
from triptych.files import remove_leftovers
from triptych.search.calibration import Calibration
from triptych.search.conditions import Condition
from triptych.search.contract import Index, IndexInfo, IndexSettings, Match, check_new
from triptych.search.embedded.manifest import (
    MANIFEST,
    Manifest,
    StoredSegment,
    read_manifest,
    sync_folder,
    write_manifest,
)
from triptych.search.embedded.merging import EXACT_ROWS, to_merge
from triptych.search.embedded.segment import write_deletions, write_segment
from triptych.search.embedded.state import State
from triptych.search.embedded.writer_lock import PATIENCE, writing
from triptych.search.filters import arrow_types
from triptych.search.rows import Floats, Rows, join_columns

if TYPE_CHECKING:
    import pyarrow as pa

ATTEMPTS = 20
"""Number of retries of a reader after a writer has removed a file of the state that it was opening."""

OWN_FILE = re.compile(r"^\d{8,}(\.arrow|\.codes|-\d{8,}\.deleted\.npy)$")


class EmbeddedIndex(Index):
    """An index in a folder of this machine.

    Args:
        folder: The folder of the index, created by `create`.
        patience: Seconds to wait for another writer.
        exact_rows: Rows up to which every search is exact.

    Raises:
        SearchError: There is no index, or it is damaged.

    Example:
        >>> import tempfile
        >>> index = EmbeddedIndex.create(Path(tempfile.mkdtemp()) / "photos.index", dimension=2, fingerprint="0f3a")
        >>> index.add(["a.png", "b.png"], [[1, 0], [0, 2]], {"label": ["cat", "dog"]}, fingerprint="0f3a")
        >>> [match.id for match in index.search([[0.9, 0.1]], k=2, fingerprint="0f3a")[0]]
        ['a.png', 'b.png']
        >>> index.search([[0.9, 0.1]], where="label = 'dog'", fingerprint="0f3a")[0][0].metadata
        {'label': 'dog'}
    """

    def __init__(self, folder: str | Path, *, patience: float = PATIENCE, exact_rows: int = EXACT_ROWS) -> None:
        self.folder = Path(folder)
        self._patience = patience
        self._exact_rows = exact_rows
        self._refreshing = threading.Lock()
        self._state: State | None = None
        self._newest()

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        dimension: int,
        fingerprint: str,
        model: str | None = None,
        patience: float = PATIENCE,
        exact_rows: int = EXACT_ROWS,
    ) -> Self:
        """Make an empty index.

        Raises:
            SearchError: The folder is not empty; nothing is overwritten.
        """
        check_new(dimension, fingerprint)
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SearchError(
                f"{folder}: expected a new or empty folder for the index, but it is there. Choose another name, or add "
                "to an index with `triptych index add`."
            )
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder):
            if (folder / MANIFEST).exists():
                raise SearchError(f"{folder}: expected a new folder, but another process made an index there just now.")
            manifest = Manifest(generation=0, next_number=0, fingerprint=fingerprint, dimension=dimension, model=model)
            write_manifest(folder, manifest)
            sync_folder(folder.parent)
        return cls(folder, patience=patience, exact_rows=exact_rows)

    def settings(self) -> IndexSettings:
        """Return the settings of the index."""
        return self._newest().manifest.settings

    def info(self) -> IndexInfo:
        """Return the state of the index."""
        state = self._newest()
        stored = state.manifest.segments
        recalls = [one.codes.recall for one in stored if one.codes]
        files = [name for one in stored for name in one.names()]
        sizes = [(self.folder / name).stat().st_size for name in files if (self.folder / name).exists()]
        return IndexInfo(
            location=str(self.folder),
            back_end="embedded",
            rows=sum(one.alive for one in stored),
            deleted=sum(one.rows - one.alive for one in stored),
            size=sum(sizes) + len(state.content),
            parts=len(stored),
            approximate_rows=sum(one.alive for one in stored if one.codes),
            recall=min(recalls, default=None),
            settings=state.manifest.settings,
        )

    def compact(self) -> None:
        """Write all rows that are not deleted into one segment, with codes if there are many."""
        with self._writing() as state:
            stored = state.manifest.segments
            if len(stored) > 1 or any(one.deletions for one in stored):
                self._merge(state, range(len(stored)))

    def verify(self) -> None:
        """Compare every file with its digest.

        Raises:
            SearchError: A file is damaged; the message names it.
        """
        for segment in self._newest().segments:
            segment.verify()

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store the threshold of "no match", or remove it."""
        with self._writing() as state:
            self._commit(state.manifest, calibration=calibration)

    def close(self) -> None:
        """Release the mapped files."""
        self._state = None

    def _add(self, rows: Rows) -> None:
        with self._writing() as state:
            columns = join_columns(state.manifest.columns, rows.columns)
            stored = self._without(state, rows.ids)
            number = state.manifest.next_number
            with_codes = len(rows) >= self._exact_rows
            added = write_segment(self.folder, number, _table(rows), with_codes=with_codes)
            self._commit(state.manifest, segments=(*stored, added), columns=columns, next_number=number + 1)
            self._tidy()

    def _delete(self, ids: "pa.Array") -> int:
        with self._writing() as state:
            before = sum(one.alive for one in state.manifest.segments)
            stored = self._without(state, ids)
            removed = before - sum(one.alive for one in stored)
            if removed:
                self._commit(state.manifest, segments=stored)
                self._tidy()
            return removed

    def _search(self, queries: Floats, k: int, condition: Condition | None, *, exact: bool) -> list[list[Match]]:
        return self._newest().search(queries, k, condition, exact=exact)

    def _newest(self) -> State:
        """Return the latest complete state."""
        known = self._state
        if known is not None and known.content == read_manifest(self.folder):
            return known
        missing = None
        for _ in range(ATTEMPTS):
            with self._refreshing:
                try:
                    self._state = State.open(self.folder, read_manifest(self.folder), self._state)
                    return self._state
                except FileNotFoundError as error:
                    missing = error.filename
        raise SearchError(f"{missing}: expected a file of the index, but it is gone. Make the index again.")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[State]:
        if not (self.folder / MANIFEST).exists():
            read_manifest(self.folder)  # raises
        with writing(self.folder, patience=self._patience):
            yield self._newest()
            self._sweep()

    def _without(self, state: State, ids: "pa.Array") -> tuple[StoredSegment, ...]:
        """Record the rows with these ids as deleted, and return the segments that still have rows."""
        stored = []
        for segment in state.segments:
            one, found = segment.stored, segment.find(ids)
            if len(found):
                gone = found if segment.deleted is None else np.union1d(segment.deleted, found)
                if len(gone) == one.rows:
                    continue
                one = write_deletions(self.folder, one, gone, state.manifest.generation + 1)
            stored.append(one)
        return tuple(stored)

    def _commit(self, manifest: Manifest, **changes: object) -> None:
        sync_folder(self.folder)
        write_manifest(self.folder, manifest.model_copy(update={**changes, "generation": manifest.generation + 1}))

    def _tidy(self) -> None:
        """Merge segments until there are few; added rows are on disk, and every step leaves a complete state."""
        while places := to_merge((state := self._newest()).manifest.segments, exact_rows=self._exact_rows):
            self._merge(state, places)

    def _merge(self, state: State, places: Sequence[int]) -> None:
        """Merge some segments into one, without deleted rows."""
        import pyarrow as pa

        manifest, chosen = state.manifest, [state.segments[place] for place in places]
        tables = []
        for segment in chosen:
            segment.verify()
            table = segment.table if segment.alive is None else segment.table.take(pa.array(segment.alive))
            for name in manifest.columns.keys() - set(table.column_names):
                table = table.append_column(name, pa.nulls(len(table), arrow_types()[manifest.columns[name]]))
            tables.append(table.select(["id", "embedding", *manifest.columns]))
        kept = [one for place, one in enumerate(manifest.segments) if place not in set(places)]
        number = manifest.next_number
        if table := pa.concat_tables(tables):
            with_codes = len(table) >= self._exact_rows
            kept.append(write_segment(self.folder, number, table, with_codes=with_codes))
        self._commit(manifest, segments=tuple(kept), next_number=number + 1)

    def _sweep(self) -> None:
        """Remove files that the manifest does not list, from earlier states or a killed writer."""
        named = {name for one in self._newest().manifest.segments for name in one.names()}
        for path in self.folder.iterdir():
            if OWN_FILE.match(path.name) and path.name not in named:
                with contextlib.suppress(OSError):  # some systems cannot remove mapped files
                    path.unlink()
        remove_leftovers(self.folder)


def _table(rows: Rows) -> "pa.Table":
    import pyarrow as pa

    dimension = rows.vectors.shape[1]
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors.reshape(-1)), dimension)
    return pa.table({"id": rows.ids, "embedding": embedding, **{name: rows.column(name) for name in rows.columns}})
