"""The validation split: fair to every class, disjoint, and the same on every machine."""

from collections import Counter

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from triptych.data.split import stratified_split


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
        assert share >= (1 if count > 1 else 0)
        assert abs(share - fraction * count) < 1 or share in (1, count - 1)


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


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(ValueError, match=r"fraction must lie between 0 and 1, but got .*; 0\.1 holds out"):
        stratified_split(torch.tensor([0, 0]), fraction=fraction, seed=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0.0, 0.0]), "labels must be integers .* torch.float32; number"),
        (torch.tensor([[0, 0]]), r"labels must be integers .* \(1, 2\)"),
        (torch.tensor([0, 1, 2]), "at least one class must have two images, .* 3 images are of 3 classes; add"),
        (torch.tensor([], dtype=torch.int64), "at least one class must have two images"),
    ],
)
def test_labels_that_cannot_be_split_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, fraction=0.5, seed=0)
