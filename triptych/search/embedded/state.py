"""A whole state of an embedded index, open for reading: its manifest and its segments.

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
    """A state that no writer changes any more.

    Attributes:
        content: Bytes of the manifest.
        manifest: The same, read.
        segments: Those of the manifest, in its order.
    """

    content: bytes
    manifest: Manifest
    segments: tuple[Segment, ...]

    @classmethod
    def open(cls, folder: Path, content: bytes, known: Self | None) -> Self:
        """Open the state of a manifest; what an earlier state has open already is used again.

        Raises:
            SearchError: The manifest or a file is damaged.
            FileNotFoundError: A file is gone, as where a writer has replaced this state just now.
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
        """Find the k nearest living rows of each query (Q, E) for which a condition holds."""
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
        """Fetch what the index knows of rows (Q, k), given by segment and row in the halves of a number."""
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
