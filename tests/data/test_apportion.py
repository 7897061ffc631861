"""Training, validation and test: disjoint, fair to every class, stable, and never with a group on both sides."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit

from triptych.data.apportion import apportion, complete_splits
from triptych.data.listing import TEST, TRAIN, VALIDATION, Files, Listing
from triptych.data.split import stratified_split


def names_of(positions, names):
    return [{names[place] for place in places.tolist()} for places in positions]


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(3, 50), min_size=1, max_size=6),
    fractions=st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4)),
    seed=st.integers(0, 10**6),
)
def test_every_image_is_in_one_split_and_every_class_in_all(counts, fractions, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    names = [f"{place}.png" for place in range(len(labels))]
    positions = apportion(labels, fractions=fractions, seed=seed, names=names)
    assert sorted(torch.cat(positions).tolist()) == list(range(len(labels)))
    for places in positions:
        assert places.dtype == torch.int64
        assert places.tolist() == sorted(places.tolist())
        assert len(labels[places].unique()) == len(counts)
    for places, fraction in zip(positions[1:], fractions, strict=True):
        for label, count in enumerate(counts):
            share = int((labels[places] == label).sum())
            # The test is rounded once; validation is a share of what remains, and rounded again.
            assert abs(share - fraction * count) < 1 + fraction / 0.5 or share == 1


def test_test_images_are_those_of_the_stratified_split():
    labels = torch.arange(200) % 7
    rest, test = stratified_split(labels, fraction=0.2, seed=3)
    kept, validation = stratified_split(labels[rest], fraction=0.1 / 0.8, seed=3, keys=rest)
    positions = apportion(labels, fractions=(0.1, 0.2), seed=3)
    assert torch.equal(positions.test, test)
    assert torch.equal(positions.validation, rest[validation])
    assert torch.equal(positions.train, rest[kept])


def test_the_split_by_names_is_the_same_for_ever():
    labels = torch.arange(24) % 2
    names = [f"caf\u00e9/{place}.png" for place in range(24)]
    positions = apportion(labels, fractions=(0.2, 0.2), seed=0, names=names)
    assert [places.tolist() for places in positions[1:]] == [[2, 3, 11, 15, 18], [0, 6, 7, 12, 23]]
    decomposed = [name.replace("\u00e9", "e\u0301") for name in names]
    again = apportion(labels, fractions=(0.2, 0.2), seed=0, names=decomposed)
    assert all(map(torch.equal, positions, again))
    other = apportion(labels, fractions=(0.2, 0.2), seed=1, names=names)
    assert not torch.equal(positions.test, other.test)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), added=st.integers(1, 5))
def test_images_stay_where_they_are_when_others_come_and_the_order_changes(seed, added):
    names = [f"{place}.png" for place in range(100)]
    more = sorted(names + [f"new {place}.png" for place in range(added)], reverse=True)
    before = names_of(apportion(torch.zeros(100).long(), fractions=(0.1, 0.1), seed=seed, names=names), names)
    after = names_of(apportion(torch.zeros(len(more)).long(), fractions=(0.1, 0.1), seed=seed, names=more), more)
    moved = sum(len(old - new) for old, new in zip(before, after, strict=True))
    # The new ones push out as many of each split as they are, at most.
    assert moved <= 2 * added + 2


def test_small_classes_give_to_the_test_first_and_keep_one():
    labels = torch.tensor([0] + [1] * 2 + [2] * 3 + [3] * 4)
    positions = apportion(labels, fractions=(0.1, 0.1), seed=0)
    held = [Counter(labels[places].tolist()) for places in positions]
    assert held == [Counter({0: 1, 1: 1, 2: 1, 3: 2}), Counter({2: 1, 3: 1}), Counter({1: 1, 2: 1, 3: 1})]


def test_a_fraction_of_zero_takes_none():
    labels = torch.arange(10) % 2
    positions = apportion(labels, fractions=(0, 0.2), seed=0)
    assert [len(places) for places in positions] == [8, 0, 2]
    assert [len(places) for places in apportion(labels, fractions=(0, 0), seed=0)] == [10, 0, 0]


GROUPED = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.booleans()), min_size=2, max_size=30
)


@settings(deadline=None, max_examples=60)
@given(content=GROUPED, fractions=st.tuples(st.floats(0.05, 0.4), st.floats(0.05, 0.4)), seed=st.integers(0, 999))
def test_groups_stay_together_and_every_class_in_training(content, fractions, seed):
    labels, groups = [], []
    for number, (members, is_named) in enumerate(content):
        labels += members
        groups += [f"patient {number}" if is_named else None] * len(members)
    labels = torch.tensor(labels)
    names = [f"{place}.png" for place in range(len(labels))]
    try:
        positions = apportion(labels, groups, fractions=fractions, seed=seed, names=names)
    except ValueError as error:
        assert "one class must have two groups" in str(error)  # noqa: PT017  # most examples raise nothing
        return
    assert sorted(torch.cat(positions).tolist()) == list(range(len(labels)))
    assert set(labels[positions.train].tolist()) == set(labels.tolist())
    sides = defaultdict(set)
    for part, places in enumerate(positions):
        for place in places.tolist():
            sides[groups[place]].add(part)
    assert all(len(parts) == 1 for group, parts in sides.items() if group is not None)


def test_groups_give_the_share_of_images_and_not_of_groups():
    # One patient in ten has a hundred images, the others have ten: a tenth of the patients could be a half of them.
    labels, groups = [], []
    for patient in range(200):
        images = 100 if patient % 10 == 0 else 10
        labels += [patient % 2] * images
        groups += [f"p{patient}"] * images
    labels = torch.tensor(labels)
    errors = []
    for seed in range(20):
        positions = apportion(labels, groups, fractions=(0.1, 0.1), seed=seed)
        errors.append([abs(len(places) / len(labels) - 0.1) for places in positions[1:]])
        for places in positions[1:]:
            share = torch.bincount(labels[places], minlength=2) / torch.bincount(labels)
            assert share == pytest.approx([0.1, 0.1], abs=0.03)
    sklearn = [
        abs(len(test) / len(labels) - 0.1)
        for _, test in GroupShuffleSplit(20, test_size=0.1, random_state=0).split(labels, groups=groups)
    ]
    assert np.mean(errors) < np.mean(sklearn)


def test_images_without_a_group_stand_alone():
    labels = torch.arange(40) % 2
    groups = ["one", "one", *[None] * 38]
    positions = apportion(labels, groups, fractions=(0.1, 0.1), seed=0)
    assert len(positions.test) == pytest.approx(4, abs=2)
    assert len(positions.validation) == pytest.approx(4, abs=2)


def test_groups_depend_on_their_names_alone():
    labels = torch.arange(60) % 3
    groups = [f"g{place // 4}" for place in range(60)]
    names = [f"{place}.png" for place in range(60)]
    there = apportion(labels, groups, fractions=(0.2, 0.2), seed=5, names=names)
    back = apportion(labels.flip(0), groups[::-1], fractions=(0.2, 0.2), seed=5, names=names[::-1])
    assert names_of(there, names) == names_of(back, names[::-1])


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.2), (0.2, float("nan")), (1.0, 0.0)])
def test_fractions_that_leave_nothing_are_refused(fractions):
    with pytest.raises(ValueError, match="fractions must be at least 0 and leave something for training"):
        apportion(torch.tensor([0, 0, 1, 1]), fractions=fractions, seed=0)


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="one class must have two images"):
        apportion(torch.tensor([0, 1]), fractions=(0.1, 0.1), seed=0)
    with pytest.raises(ValueError, match=r"one class must have two groups, [^;]* 4 images are of 2 groups"):
        apportion(torch.tensor([0, 0, 1, 1]), ["a", "a", "b", "b"], fractions=(0, 0.5), seed=0)


def listing(split, groups=None) -> Listing:
    names = [f"{place}.png" for place in range(len(split))]
    labels = torch.arange(len(split)) % 2
    return Listing(Files(Path(), names), names, labels, ("a", "b"), torch.tensor(split), groups, "made")


def test_splits_that_are_there_stay_and_those_that_are_not_come_from_training():
    both = complete_splits(listing([TRAIN] * 40), fractions=(0.1, 0.2), seed=0)
    assert [len(places) for places in both] == [28, 4, 8]

    tested = [TEST, TEST, *[TRAIN] * 20, TEST, TEST]
    positions = complete_splits(listing(tested), fractions=(0.2, 0.5), seed=0)
    assert positions.test.tolist() == [0, 1, 22, 23]
    assert len(positions.validation) == 4
    assert sorted(torch.cat(positions).tolist()) == list(range(24))

    validated = [VALIDATION] * 2 + [TRAIN] * 20
    positions = complete_splits(listing(validated), fractions=(0.5, 0.2), seed=0)
    assert positions.validation.tolist() == [0, 1]
    assert len(positions.test) == 4

    whole = [TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 2
    positions = complete_splits(listing(whole), fractions=(0.5, 0.2), seed=0)
    assert [places.tolist() for places in positions] == [[0, 1, 2, 3], [4, 5], [6, 7]]


def test_validation_from_training_keeps_groups_together():
    groups = [None, None, *[f"g{place // 5}" for place in range(50)]]
    positions = complete_splits(listing([TEST, TEST, *[TRAIN] * 50], groups), fractions=(0.2, 0.5), seed=0)
    sides = [{groups[place] for place in places.tolist()} for places in positions]
    assert sides[2] == {None}
    assert sides[0] & sides[1] == set()
    assert sides[1]
