"""Which segments of an embedded index are merged after a change, so that there are few and the work stays small."""

from collections.abc import Sequence

from triptych.search.embedded.manifest import StoredSegment

FAN_OUT = 8
"""As many segments of about one size become one: each row is written again once for each power of it."""
EXACT_ROWS = 50_000
"""Rows without codes that are compared one by one; with more, they become a segment with codes."""
DELETED_SHARE = 0.25
"""Above this share of deleted rows, a segment is written again without them."""


def to_merge(segments: Sequence[StoredSegment], *, exact_rows: int = EXACT_ROWS) -> list[int]:
    """Choose segments to replace by one segment of their living rows, by their places; empty where all is well."""
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
