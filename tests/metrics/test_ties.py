import itertools
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics.ties import (
    TieGroups,
    expected_hit,
    expected_precision_at_1,
    expected_precision_at_r,
    expected_reciprocal_rank,
)


def groups_of(*rows):
    """Groups as (B, G), from each query's list of (size, relevant)."""
    width = max(len(groups) for groups in rows)
    filled = [[*groups, *[(0, 0)] * (width - len(groups))] for groups in rows]
    size, relevant = torch.tensor(filled, dtype=torch.float64).unbind(dim=2)
    return TieGroups(size, relevant, size.cumsum(1) - size, relevant.cumsum(1) - relevant)


def first_of(before, size, relevant):
    """The first group with a relevant row, behind others without."""
    return TieGroups(*(torch.tensor([float(number)]) for number in (size, relevant, before, 0)))


def orders(before, size, relevant):
    """Every order of a group, each as the places of its relevant rows in the ranking."""
    return [[before + place + 1 for place in places] for places in itertools.combinations(range(size), relevant)]


GROUPS = [(before, size, relevant) for before in (0, 3) for size in (1, 2, 5) for relevant in range(1, size + 1)]


@pytest.mark.parametrize(("before", "size", "relevant"), GROUPS)
def test_the_first_relevant_row_is_expected_where_the_orders_have_it(before, size, relevant):
    found, every = first_of(before, size, relevant), orders(before, size, relevant)
    first_places = [places[0] for places in every]
    assert expected_precision_at_1(found).item() == pytest.approx(statistics.mean(place == 1 for place in first_places))
    assert expected_reciprocal_rank(found).item() == pytest.approx(statistics.mean(1 / place for place in first_places))
    for k in (1, 2, 4, 6, 20):
        hits = statistics.mean(place <= k for place in first_places)
        assert expected_hit(found, k).item() == pytest.approx(hits)


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 4)).map(lambda pair: (pair[0], min(pair))), min_size=1, max_size=4
    ),
    share=st.floats(0.01, 1),
)
def test_precision_at_r_is_the_mean_over_all_orders(groups, share):
    rows = sum(size for size, _ in groups)
    wanted = max(1, round(share * rows))  # not only as many as are relevant: the formula does not ask
    starts = [sum(size for size, _ in groups[:number]) for number in range(len(groups))]
    rankings = [
        sorted(itertools.chain(*places))
        for places in itertools.product(*(orders(start, *group) for start, group in zip(starts, groups, strict=True)))
    ]
    found = expected_precision_at_r(groups_of(groups, [(1, 1)]), torch.tensor([wanted, 1], dtype=torch.float64))
    r_precision = [sum(place <= wanted for place in places) / wanted for places in rankings]
    average = [
        sum((number + 1) / place for number, place in enumerate(places) if place <= wanted) / wanted
        for places in rankings
    ]
    assert [values[0].item() for values in found] == pytest.approx(
        [statistics.mean(r_precision), statistics.mean(average)]
    )
    assert [values[1].item() for values in found] == [1, 1]  # a neighbour in the batch is none of its business


def test_large_groups_keep_their_digits():
    size = 1_000_000.0
    found = TieGroups(*(torch.tensor([value], dtype=torch.float64) for value in (size, 1.0, 0.0, 0.0)))
    assert expected_hit(found, 1).item() == pytest.approx(1e-6, rel=1e-9)
    assert expected_hit(found, 2_000_000).item() == 1
    # One row, at each place with the same chance: the harmonic number over the size.
    assert expected_reciprocal_rank(found).item() == pytest.approx(14.392726722865723e-6, rel=1e-12)
    one = TieGroups(*(field[None] for field in found))
    r_precision, average = expected_precision_at_r(one, torch.tensor([1.0], dtype=torch.float64))
    assert (r_precision.item(), average.item()) == pytest.approx((1e-6, 1e-6), rel=1e-9)
