"""The names on the map: placed on their classes, apart from one another, within the frame."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.visualisation.paper.names import distinct_names, medoid, shortened, spread

LOWER, UPPER = np.zeros(2), np.array([1000.0, 800.0])


def overlapping_pairs(centres: np.ndarray, sizes: np.ndarray) -> int:
    count = 0
    for i in range(len(centres)):
        for j in range(i):
            apart = np.abs(centres[i] - centres[j])
            count += bool((apart < (sizes[i] + sizes[j]) / 2 - 0.01).all())
    return count


boxes = st.lists(
    st.tuples(st.integers(50, 950), st.integers(20, 780), st.integers(10, 90), st.integers(8, 20)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(boxes)
def test_boxes_with_room_part_and_stay_within_bounds(drawn: list[tuple[int, int, int, int]]) -> None:
    numbers = np.array(drawn, dtype=float)
    centres, sizes = numbers[:, :2], numbers[:, 2:]
    before = centres.copy()
    moved = spread(centres, sizes, lower=LOWER, upper=UPPER)

    assert overlapping_pairs(moved, sizes) == 0
    assert (moved >= LOWER + sizes / 2 - 1e-6).all() or overlapping_pairs(before, sizes) == 0
    assert np.array_equal(centres, before)


def test_boxes_in_nobodys_way_stay_where_they_are() -> None:
    centres, sizes = np.array([[100.0, 100.0], [105.0, 100.0], [700.0, 700.0]]), np.full((3, 2), 20.0)
    moved = spread(centres, sizes, lower=LOWER, upper=UPPER)

    assert np.array_equal(moved[2], centres[2])
    assert overlapping_pairs(moved, sizes) == 0


def test_more_boxes_than_fit_come_to_an_end_within_bounds() -> None:
    sizes = np.full((60, 2), 300.0)
    moved = spread(np.full((60, 2), 400.0), sizes, lower=LOWER, upper=UPPER)

    assert np.isfinite(moved).all()
    assert ((moved >= LOWER + 150) & (moved <= UPPER - 150)).all()


def test_a_class_in_two_clusters_is_named_on_the_larger_one_not_between_them() -> None:
    generator = np.random.default_rng(0)
    larger = generator.normal(size=(70, 2))
    smaller = generator.normal(size=(50, 2)) + 100

    place = medoid(np.concatenate([smaller, larger]))
    assert np.linalg.norm(place) < 1


def test_a_class_of_one_point_or_of_equal_points_is_named_there() -> None:
    assert np.array_equal(medoid(np.array([[3.0, 4.0]])), [3.0, 4.0])
    assert np.array_equal(medoid(np.full((2000, 2), 7.0)), [7.0, 7.0])


def test_names_with_a_long_start_in_common_can_be_told_apart_where_they_are_cut() -> None:
    names = [f"a rather long-named kind of thing {number:02d}" for number in range(50)]
    assert len({shortened(name, to=10) for name in distinct_names(names)}) == 50
    assert distinct_names(["long_species_name_1", "long_species_name_1_juvenile"]) == ["…1", "…1_juvenile"]


def test_other_names_stay_as_they_are() -> None:
    for names in (
        ["photograph"],
        [],
        ["photograph", "photographer"],
        ["cat", "dog"],
        ["a b", "a b"],
        ["the cat", "the dog"],
    ):
        assert distinct_names(names) == names


def test_names_are_cut_to_length_with_an_ellipsis() -> None:
    assert shortened("sandal", to=6) == "sandal"
    assert shortened("sandals", to=6) == "sanda…"
