"""Training, validation and test: disjoint, fair to every class, stable, and never with a group on both sides."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import GroupShuffleSplit

from triptych.data.splits.splitting import apportion, stratified_split


def names_of(positions, names):
    return [{names[place] for place in places.tolist()} for places in positions]


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(20, 60), min_size=1, max_size=6),
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


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=60).filter(lambda counts: sum(counts) > 20),
    fractions=st.tuples(st.floats(0.05, 0.3), st.floats(0.05, 0.3)),
    seed=st.integers(0, 999),
)
def test_fractions_are_of_the_whole_and_classes_keep_two_training_images(counts, fractions, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    spare = sum(max(0, count - 2) for count in counts)
    validation, test = (round(fraction * len(labels)) for fraction in fractions)
    try:
        positions = apportion(labels, fractions=fractions, seed=seed)
    except ValueError:
        assert sum(counts) - len(counts) < 2
        return
    left = labels[positions.train].bincount(minlength=len(counts)).tolist()
    assert min(left) >= 1
    if spare >= validation + test + 2:
        assert abs(len(positions.test) - max(1, test)) <= 1
        assert abs(len(positions.validation) - max(1, validation)) <= 1
        assert all(kept >= min(2, count) for kept, count in zip(left, counts, strict=True))


def test_many_small_classes_are_divided_by_the_fractions_and_not_in_thirds():
    labels = torch.arange(200).repeat_interleave(3)
    positions = apportion(labels, fractions=(0.1, 0.1), seed=0)
    assert [len(places) for places in positions] == [480, 60, 60]
    assert labels[positions.train].bincount().min() == 2
    assert labels[positions.test].float().mean() == pytest.approx(100, abs=30)  # not the first classes alone


def test_every_class_is_in_the_test_where_large_classes_can_make_up_for_small_ones():
    labels = torch.arange(10).repeat_interleave(torch.tensor([4, *[100] * 9]))
    positions = apportion(labels, fractions=(0.1, 0.1), seed=0)
    assert [len(places) for places in positions] == [724, 90, 90]
    assert labels[positions.test].bincount().min() == 1


def test_classes_of_two_images_give_one_only_where_nothing_else_can_be_had():
    labels = torch.arange(100).repeat_interleave(2)
    positions = apportion(labels, fractions=(0.1, 0.1), seed=0)
    assert [len(places) for places in positions] == [160, 20, 20]
    assert labels[positions.train].bincount().min() == 1


@pytest.mark.parametrize("sizes", [[1] * 300 + [30] * 10, [1] * 60 + [5] * 40 + [30] * 20])
def test_a_group_is_as_likely_to_be_tested_whatever_its_size(sizes):
    groups = [f"patient {number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = torch.tensor([number % 2 for number, size in enumerate(sizes) for _ in range(size)])
    of = np.repeat(np.arange(len(sizes)), sizes)
    tested = np.zeros(len(sizes))
    rounds = 200
    for seed in range(rounds):
        places = apportion(labels, groups, fractions=(0.1, 0.2), seed=seed).test
        tested[np.unique(of[places.numpy()])] += 1
        assert len(places) == pytest.approx(0.2 * len(labels), abs=30)
    for size in set(sizes):
        chosen = np.array(sizes) == size
        deviation = (0.2 * 0.8 / rounds / chosen.sum()) ** 0.5
        assert tested[chosen].mean() / rounds == pytest.approx(0.2, abs=4 * deviation)


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
def test_fractions_that_leave_nothing_are_rejected(fractions):
    with pytest.raises(ValueError, match="fractions must be at least 0 and leave something for training"):
        apportion(torch.tensor([0, 0, 1, 1]), fractions=fractions, seed=0)


def test_what_cannot_be_divided_is_rejected():
    with pytest.raises(ValueError, match="one class must have two images"):
        apportion(torch.tensor([0, 1]), fractions=(0.1, 0.1), seed=0)
    with pytest.raises(ValueError, match=r"one class must have two groups, [^;]* 4 images are of 2 groups"):
        apportion(torch.tensor([0, 0, 1, 1]), ["a", "a", "b", "b"], fractions=(0, 0.5), seed=0)


# The stratified split.


@settings(deadline=None, max_examples=200)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8).filter(lambda counts: max(counts) > 1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 10**9),
)
@example(counts=[1, 1, 51], fraction=1 / 3, seed=0)  # nobody can give what the lone images cannot
def test_every_class_gives_its_share_and_keeps_one(counts, fraction, seed):
    labels = torch.cat([torch.full((count,), 3 * number) for number, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    training, validation = stratified_split(labels, fraction=fraction, seed=seed)
    assert sorted(training.tolist() + validation.tolist()) == list(range(len(labels)))
    assert training.tolist() == sorted(training.tolist())
    assert validation.tolist() == sorted(validation.tolist())
    given_by = Counter(labels[validation].tolist())
    for number, count in enumerate(counts):
        share = given_by[3 * number]
        assert share <= count - 1
    wanted = max(1, round(fraction * len(labels)))
    assert len(validation) == min(wanted, len(labels) - len(counts))


@settings(deadline=None, max_examples=100)
@given(counts=st.lists(st.integers(10, 80), min_size=1, max_size=12), fraction=st.floats(0.1, 0.9))
def test_the_whole_comes_to_the_fraction_where_classes_are_large_enough(counts, fraction):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    _, validation = stratified_split(labels, fraction=fraction, seed=0)
    assert len(validation) == round(fraction * len(labels))


def test_the_largest_remainders_round_up():
    # A quarter of 5, 6, 7 and 6 images is 1.25, 1.5, 1.75 and 1.5: six in all, so that the last two places go to the
    # class with .75 and the first of those with .5.
    labels = torch.tensor([0] * 5 + [1] * 6 + [2] * 7 + [3] * 6)
    _, validation = stratified_split(labels, fraction=0.25, seed=0)
    assert torch.bincount(labels[validation]).tolist() == [1, 2, 2, 1]


def test_the_split_is_the_same_for_ever_and_other_for_another_seed():
    labels = torch.arange(40) % 4
    _, validation = stratified_split(labels, fraction=0.1, seed=0)
    assert validation.tolist() == [0, 6, 11, 17]
    _, again = stratified_split(labels, fraction=0.1, seed=0)
    _, other = stratified_split(labels, fraction=0.1, seed=1)
    assert torch.equal(validation, again)
    assert not torch.equal(validation, other)


def test_images_are_chosen_by_their_keys_wherever_they_are():
    labels, keys = torch.arange(40) % 4, torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:40]
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    _, validation = stratified_split(labels, fraction=0.2, seed=0, keys=keys)
    _, shuffled = stratified_split(labels[order], fraction=0.2, seed=0, keys=keys[order])
    assert sorted(order[shuffled].tolist()) == validation.tolist()
    _, by_position = stratified_split(labels, fraction=0.2, seed=0, keys=torch.arange(40))
    assert torch.equal(by_position, stratified_split(labels, fraction=0.2, seed=0)[1])
    assert not torch.equal(by_position, validation)


def test_every_image_is_as_likely_to_validate():
    labels = torch.tensor([0] * 6 + [1] * 4)
    times = torch.zeros(10)
    for seed in range(2000):
        times[stratified_split(labels, fraction=0.5, seed=seed)[1]] += 1
    assert ((times / 2000 - 0.5).abs() < 0.05).all()


def test_the_real_digits_are_split_as_scikit_learn_would():
    labels = torch.from_numpy(load_digits().target)
    training, validation = stratified_split(labels, fraction=0.1, seed=0)
    assert len(validation) == 180
    assert (torch.bincount(labels[validation]) - 0.1 * torch.bincount(labels)).abs().max() < 1
    assert torch.bincount(labels[training]).min() > 150


def test_classes_of_one_image_stay_in_training():
    training, validation = stratified_split(torch.tensor([5, 2, 2, 9]), fraction=0.9, seed=0)
    assert {0, 3} <= set(training.tolist())
    assert len(validation) == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_integer_type_give_the_same_split(dtype):
    labels = torch.arange(30) % 3
    expected = stratified_split(labels, fraction=0.3, seed=2)[1]
    assert torch.equal(stratified_split(labels.to(dtype), fraction=0.3, seed=2)[1], expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 2]), "at least one class must have two images, .* 3 images are of 3 classes; add"),
        (torch.tensor([], dtype=torch.int64), "at least one class must have two images"),
    ],
)
def test_labels_that_cannot_be_split_are_rejected(labels, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, fraction=0.5, seed=0)
