from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.search.embedded.manifest import StoredCodes, StoredDeletions, StoredFile, StoredSegment
from triptych.search.embedded.merging import to_merge

FILE = {"bytes": 1, "sha256": "0" * 64}


def segment(rows: int, *, deleted: int = 0, codes: bool = False) -> StoredSegment:
    return StoredSegment(
        number=0,
        rows=rows,
        data=StoredFile(**FILE),
        deletions=StoredDeletions(**FILE, generation=1, rows=deleted) if deleted else None,
        codes=StoredCodes(**FILE, depth=100, recall=1.0) if codes else None,
    )


def test_few_segments_stay_as_they_are() -> None:
    assert to_merge([segment(1)] * 7 + [segment(8)] * 7, exact_rows=1000) == []
    assert to_merge([]) == []


def test_eight_segments_of_about_one_size_become_one() -> None:
    assert to_merge([segment(500), *[segment(9)] * 8], exact_rows=1000) == list(range(1, 9))


def test_small_segments_that_are_many_rows_together_become_one_with_codes() -> None:
    assert to_merge([segment(600), segment(2000, codes=True), segment(400)], exact_rows=1000) == [0, 2]


def test_a_segment_with_many_deleted_rows_is_written_again() -> None:
    assert to_merge([segment(100, deleted=25), segment(100, deleted=26)], exact_rows=1000) == [1]


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=300), deleted=st.floats(0, 0.9))
def test_any_sequence_of_adds_makes_few_segments_and_writes_each_row_few_times(
    sizes: list[int], deleted: float
) -> None:
    segments: list[StoredSegment] = []
    written = 0
    for size in sizes:
        segments.append(segment(size, deleted=int(deleted * size), codes=size >= 500))
        while chosen := to_merge(segments, exact_rows=500):
            rows = sum(segments[place].alive for place in chosen)
            written += rows
            kept = [one for place, one in enumerate(segments) if place not in chosen]
            segments = [*kept, segment(rows, codes=rows >= 500)] if rows else kept

    assert len(segments) <= 7 * 6
    assert sum(one.rows for one in segments if one.codes is None) < 500 + 300
    assert written <= 8 * sum(sizes)
