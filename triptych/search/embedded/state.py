"""A complete state of an embedded index, open for reading: its manifest and its segments.

Letters: Q queries, E embedding dimension.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from triptych.search.conditions import Condition
from triptych.search.contract import Match, Metadata, found
from triptych.search.embedded.manifest import Manifest, parse_manifest
from triptych.search.embedded.nearest import best
from triptych.search.embedded.segment import Segment
from triptych.search.rows import Floats


@dataclass(frozen=True, eq=False)
class State:
    """An immutable state.

    Attributes:
        content: Bytes of the manifest.
        manifest: The parsed manifest.
        segments: The segments of the manifest, in order.
    """

    content: bytes
    manifest: Manifest
    segments: tuple[Segment, ...]

    @classmethod
    def open(cls, folder: Path, content: bytes, known: Self | None) -> Self:
        """Open the state of a manifest; open files of an earlier state are reused.

        Raises:
            SearchError: The manifest or a file is damaged.
            FileNotFoundError: A file is missing, for example because a writer has just replaced this state.
        """
        manifest = parse_manifest(content, folder)
        earlier = {segment.stored.number: segment for segment in known.segments} if known else {}
        if known is not None and known.manifest.dimension != manifest.dimension:
            earlier = {}
        segments = []
        for stored in manifest.segments:
            before = earlier.get(stored.number)
            if before is None or before.stored != stored:
                before = Segment(folder, stored, dimension=manifest.dimension, columns=manifest.columns, earlier=before)
            segments.append(before)
        return cls(content, manifest, tuple(segments))

    def search(self, queries: Floats, k: int, condition: Condition | None, *, exact: bool) -> list[list[Match]]:
        """Find the k nearest rows of each query (Q, E) for which a condition is true, without deleted ones."""
        width = 0
        scores, places = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for number, segment in enumerate(self.segments):
            among = segment.alive if condition is None else segment.matching(condition, self.manifest.columns)
            if among is None or len(among):
                some, rows = segment.search(queries, k, among, exact=exact)
                width = scores.shape[1] + some.shape[1]
                places = np.concatenate([places, rows + (number << 32)], 1)
                scores, places = best(np.concatenate([scores, some], 1), places, min(k, width))
        return self._matches(scores, places)

    def _matches(self, scores: Floats, places: NDArray[np.int64]) -> list[list[Match]]:
        """Fetch the data of rows (Q, k), given by segment and row in the two halves of an integer."""
        values: dict[int, Metadata] = {}
        wanted = np.unique(places)
        for number in np.unique(wanted >> 32).tolist():
            some = wanted[wanted >> 32 == number]
            values.update(zip(some.tolist(), self.segments[number].read(some & 0xFFFF_FFFF), strict=True))
        settings = self.manifest.settings
        return [
            [
                found(settings, str(values[place]["id"]), score, values[place])
                for score, place in zip(line.tolist(), of_query.tolist(), strict=True)
            ]
            for line, of_query in zip(scores, places, strict=True)
        ]
