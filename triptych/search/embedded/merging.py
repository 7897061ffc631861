"""Chooses segments of an embedded index to merge after a change, to keep their number and the work small."""

from collections.abc import Sequence

from triptych.search.embedded.manifest import StoredSegment

FAN_OUT = 8
"""Number of segments of similar size that are merged: each row is rewritten once for each power of it."""
EXACT_ROWS = 50_000
"""Maximum number of rows without codes, which are searched exactly; more are merged into a segment with codes."""
DELETED_SHARE = 0.25
"""Share of deleted rows above which a segment is rewritten without them."""


def to_merge(segments: Sequence[StoredSegment], *, exact_rows: int = EXACT_ROWS) -> list[int]:
    """Choose segments to merge, by their positions; empty if none need merging."""
    plain = [place for place, segment in enumerate(segments) if segment.codes is None]
    small = [place for place in plain if segments[place].rows < exact_rows]
    if len(small) > 1 and sum(segments[place].rows for place in small) >= exact_rows:
        return small
    tiers: dict[int, list[int]] = {}
    for place, segment in enumerate(segments):
        tiers.setdefault(_tier(segment.rows), []).append(place)
    for _, places in sorted(tiers.items()):
        if len(places) >= FAN_OUT:
            return places
    return next(([place] for place, one in enumerate(segments) if one.rows - one.alive > DELETED_SHARE * one.rows), [])


def _tier(rows: int) -> int:
    """Return the power of the fan-out that the number of rows reaches."""
    tier = 0
    while rows >= FAN_OUT:
        rows //= FAN_OUT
        tier += 1
    return tier
