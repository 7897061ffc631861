"""Passes through each class: the stated bound, even parts, no image twice in a part, and nothing remembered."""

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.batches.class_passes import ClassPasses

class_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def labels_of(sizes, seed=0):
    """Labels 3, 13, 23, ... as often as `sizes` says, in a shuffled order."""
    labels = torch.tensor([10 * label + 3 for label, size in enumerate(sizes) for _ in range(size)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


def parts_of(passes, labels, epoch):
    """The images of an epoch, one list for each round and class."""
    images = iter(passes.images(epoch).tolist())
    parts = [[list(islice(images, taken)) for taken in passes.taken.tolist()] for _ in range(passes.rounds)]
    assert not list(images)
    for one_round in parts:
        for label, part in zip(labels.unique(), one_round, strict=True):
            assert all(labels[image] == label for image in part)
    return parts


@settings(deadline=None, max_examples=50)
@given(sizes=class_sizes, k=st.integers(1, 12), epoch=st.integers(0, 30))
def test_every_class_comes_equally_often_in_every_epoch_of_about_all_images(sizes, k, epoch):
    labels = labels_of(sizes)
    passes = ClassPasses(labels, images_per_class=k)
    parts = parts_of(passes, labels, epoch)
    assert [len(part) for part in parts[0]] == [min(size, k) for size in sizes]
    for one_round in parts:
        for part in one_round:
            assert len(set(part)) == len(part)
    drawn, per_round = len(passes.images(epoch)), sum(min(size, k) for size in sizes)
    assert abs(drawn - len(labels)) <= per_round / 2
    assert 2 / 3 * len(labels) < drawn <= 4 / 3 * len(labels)


@settings(deadline=None, max_examples=60)
@given(sizes=class_sizes, k=st.integers(1, 12), first=st.integers(0, 20), seed=st.integers(0, 10**6))
def test_every_image_comes_within_the_stated_number_of_epochs(sizes, k, first, seed):
    labels = labels_of(sizes)
    passes = ClassPasses(labels, images_per_class=k, seed=seed)
    parts = -(-max(sizes) // min(k, max(sizes)))
    assert passes.epochs_between == -(-(2 * parts - 1) // passes.rounds)
    window = range(first, first + passes.epochs_between)
    assert {image for epoch in window for image in passes.images(epoch).tolist()} == set(range(len(labels)))
    beginning = range(-(-parts // passes.rounds))
    assert {image for epoch in beginning for image in passes.images(epoch).tolist()} == set(range(len(labels)))


def test_the_bound_cannot_be_lower():
    # One round an epoch, a class of 3 images one at a time: after the first pass any image may come last.
    labels = torch.tensor([0, 0, 0, 1])
    for seed in range(50):
        passes = ClassPasses(labels, images_per_class=1, seed=seed)
        passes.rounds = 1
        drawn = [passes.images(epoch)[0].item() for epoch in range(6)]
        if any(len(set(drawn[start : start + 4])) < 3 for start in range(3)):
            return
    pytest.fail("no seed needs more than 2G - 2 = 4 parts")


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 60), k=st.integers(1, 12))
def test_a_pass_holds_every_image_once_and_fewer_than_k_twice(size, k):
    labels = torch.zeros(size, dtype=torch.int64)
    passes = ClassPasses(labels, images_per_class=k)
    # A lone class: an epoch is the nearest number of whole parts to a pass, so look at parts over several epochs.
    parts = [part for epoch in range(6) for (part,) in parts_of(passes, labels, epoch)]
    whole = -(-size // min(k, size))
    for start in range(0, len(parts) - whole + 1, whole):
        counts = Counter(image for part in parts[start : start + whole] for image in part)
        assert sorted(counts) == list(range(size))
        assert set(counts.values()) <= {1, 2}
        assert sum(count == 2 for count in counts.values()) == (whole * min(k, size) - size) < k


def test_where_k_divides_a_class_no_image_repeats_before_all_others_have_come():
    labels = labels_of([12, 4])
    passes = ClassPasses(labels, images_per_class=4, seed=5)
    large = [image for epoch in range(9) for parts in parts_of(passes, labels, epoch) for image in parts[0]]
    assert passes.rounds == 2
    for start in range(0, len(large), 12):
        assert len(set(large[start : start + 12])) == 12


def test_epochs_depend_on_seed_and_number_alone_and_leave_the_global_generator_alone():
    labels = labels_of([30, 5, 1])
    before = torch.get_rng_state()
    first = [ClassPasses(labels, images_per_class=3, seed=2).images(epoch) for epoch in range(4)]
    assert torch.equal(torch.get_rng_state(), before)
    again = ClassPasses(labels, images_per_class=3, seed=2)
    for epoch in (3, 0, 2, 1):
        assert torch.equal(again.images(epoch), first[epoch])
    other = ClassPasses(labels, images_per_class=3, seed=3).images(0)
    assert not torch.equal(other, first[0])


def test_passes_are_shuffled_independently():
    # Of two passes through 5 images the first images agree once in 5 times.
    labels = torch.zeros(5, dtype=torch.int64)
    heads = [
        ClassPasses(labels, images_per_class=1, seed=seed).images(epoch)[0] for seed in (0, 1) for epoch in range(400)
    ]
    heads = torch.stack(heads)
    assert heads.bincount(minlength=5).min() > 110  # 160 are expected, with a deviation of 11
    assert abs((heads[1:] == heads[:-1]).float().mean() - 0.2) < 0.06


@pytest.mark.parametrize(
    ("labels", "k", "message"),
    [
        (torch.tensor([0.0, 1.0]), 2, "labels must be integers .* torch.float32; number"),
        (torch.tensor([[0, 1]]), 2, r"labels must be .* shape \(1, 2\)"),
        (torch.tensor([], dtype=torch.int64), 2, r"N of at least 1, but got shape \(0,\)"),
        (torch.tensor([True, False]), 2, "torch.bool"),
        (torch.tensor([0, 1]), 0, "images_per_class must be at least 1, but got 0; 4 is usual"),
    ],
)
def test_impossible_arguments_are_refused(labels, k, message):
    with pytest.raises(ValueError, match=message):
        ClassPasses(labels, images_per_class=k)
