"""Sampling by class: what a batch holds, the same global batches for any number of processes, and exact resumption."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from triptych.data.augment.augmentation import Augmentation
from triptych.data.batches.class_sampling import ClassBalancedBatchSampler, PKBatchSampler, fill_batch
from triptych.data.batches.loader import BatchLoader
from triptych.data.batches.triplets import ImageDataset, TripletDataset
from triptych.losses import BatchTripletLoss, TripletLoss

class_sizes = st.lists(st.integers(1, 30), min_size=2, max_size=9)


def labels_of(sizes):
    labels = torch.tensor([label for label, size in enumerate(sizes) for _ in range(size)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def balanced(labels, *, world_size=1, rank=0, images=24, seed=0):
    return ClassBalancedBatchSampler(
        labels, batch_size=images // world_size, seed=seed, rank=rank, world_size=world_size
    )


def pk(labels, *, world_size=1, rank=0, p=2, k=3, seed=0):
    return PKBatchSampler(labels, classes_per_batch=p, images_per_class=k, seed=seed, rank=rank, world_size=world_size)


BOTH = pytest.mark.parametrize("kind", [balanced, pk])


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    batches = [batch.tolist() for batch in sampler]
    assert len(batches) == len(sampler)
    return batches


@settings(deadline=None, max_examples=40)
@given(sizes=class_sizes, epoch=st.integers(0, 20), seed=st.integers(0, 1000))
def test_class_balanced_epochs_give_every_class_the_same_number_of_places(sizes, epoch, seed):
    labels = labels_of(sizes)
    drawn = torch.tensor([image for batch in epoch_of(balanced(labels, seed=seed), epoch) for image in batch])
    places = max(1, round(sum(sizes) / len(sizes)))
    assert labels[drawn].bincount(minlength=len(sizes)).tolist() == [places] * len(sizes)
    for label, size in enumerate(sizes):
        often = drawn[labels[drawn] == label].bincount(minlength=len(labels))[labels == label]
        assert set(often.tolist()) <= {places // size, -(-places // size)}


@settings(deadline=None, max_examples=60)
@given(sizes=class_sizes, p=st.integers(1, 9), k=st.integers(1, 8), epoch=st.integers(0, 9))
def test_a_batch_holds_p_classes_with_k_images_or_all_that_a_class_has(sizes, p, k, epoch):
    assume(p <= len(sizes))
    labels = labels_of(sizes)
    batches = epoch_of(pk(labels, p=p, k=k), epoch)
    came = torch.zeros(len(sizes), dtype=torch.int64)
    for batch in batches:
        assert len(set(batch)) == len(batch)
        held = labels[batch].bincount(minlength=len(sizes)).tolist()
        assert sum(count > 0 for count in held) == p
        assert all(count in (0, min(size, k)) for count, size in zip(held, sizes, strict=True))
        came += torch.tensor(held) > 0
    assert came.max() - came.min() <= 1
    per_batch = p * sum(min(size, k) for size in sizes) / len(sizes)
    assert len(batches) == max(1, round(len(labels) / per_batch))


def test_pk_draws_an_image_again_only_after_all_others_of_its_class():
    labels = labels_of([24, 7])
    drawn = torch.tensor([image for batch in epoch_of(pk(labels, p=2, k=4), 0) for image in batch])
    often = drawn.bincount(minlength=len(labels))
    for label in (0, 1):
        assert often[labels == label].max() - often[labels == label].min() <= 1


def test_large_classes_all_come_with_exactly_k_images_whatever_divides_what():
    labels = labels_of([101, 67, 50, 33])
    sizes = {len(batch) for epoch in range(5) for batch in epoch_of(pk(labels, p=4, k=7), epoch)}
    assert sizes == {28}


def test_any_two_classes_meet_in_a_batch():
    labels = labels_of([8] * 6)
    met = set()
    for epoch in range(10):
        for batch in epoch_of(pk(labels, p=2, k=4), epoch):
            met.add(tuple(labels[batch].unique().tolist()))
    assert len(met) == 15


def test_class_balanced_draws_an_image_inversely_to_the_size_of_its_class():
    sizes = [1, 4, 16, 64, 15]
    labels = labels_of(sizes)
    sampler = balanced(labels)
    epochs = 64
    drawn = torch.tensor([image for epoch in range(epochs) for batch in epoch_of(sampler, epoch) for image in batch])
    rates = drawn.bincount(minlength=len(labels)) / epochs
    for label, size in enumerate(sizes):
        # 100 images of 5 classes: 20 places for each class; a bound of four deviations of a fair coin per epoch.
        assert rates[labels == label].numpy() == pytest.approx(20 / size, abs=4 * 0.5 / epochs**0.5)


def test_batches_of_class_balanced_sampling_are_of_even_size_and_shuffled():
    labels = labels_of([50, 5, 5])
    batches = epoch_of(balanced(labels, images=16), 0)
    assert [len(batch) for batch in batches] == [15] * 4
    held = [labels[batch].bincount(minlength=3).tolist() for batch in batches]
    assert held != [[5, 5, 5]] * 4
    assert batches != epoch_of(balanced(labels, images=16), 1)


@BOTH
@pytest.mark.parametrize("world_size", [2, 3])
def test_global_batches_do_not_depend_on_the_number_of_processes(kind, world_size):
    labels = labels_of([40, 9, 7, 3, 3])
    alone = epoch_of(kind(labels), 4)
    shares = [epoch_of(kind(labels, world_size=world_size, rank=rank), 4) for rank in range(world_size)]
    for whole, parts in zip(alone, zip(*shares, strict=True), strict=True):
        assert [image for part in parts for image in part] == whole
        lengths = [len(part) for part in parts]
        assert min(lengths) >= 1
        assert max(lengths) - min(lengths) <= 1


@BOTH
@pytest.mark.parametrize("dataset_class", [ImageDataset, TripletDataset])
def test_a_run_stopped_in_an_epoch_resumes_with_the_next_batch(kind, dataset_class):
    labels = labels_of([40, 9, 1])

    def loader():
        return BatchLoader(dataset_class(torch.zeros(50, 1, 2, 2, dtype=torch.uint8), labels), kind(labels))

    interrupted = loader()
    interrupted.sampler.set_epoch(3)
    iterator = iter(interrupted)
    next(iterator)
    resumed = loader()
    resumed.load_state_dict(interrupted.state_dict())
    for epoch, skipped in ((3, 1), (4, 0)):
        resumed.sampler.set_epoch(epoch)
        expected = epoch_of(kind(labels), epoch)
        assert len(expected) > 1
        assert [(batch.index % len(labels)).tolist() for batch in resumed] == expected[skipped:]


@BOTH
def test_an_image_that_comes_again_in_an_epoch_has_random_numbers_of_its_own(kind):
    labels = labels_of([40, 9, 2])
    sampler = kind(labels)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        visits = [torch.stack(visit, dim=1) for visit in sampler.visits()]
        assert [visit[:, 0].tolist() for visit in visits] == epoch_of(sampler, epoch)
        visits = torch.cat(visits)
        assert len(visits.unique(dim=0)) == len(visits) > len(visits[:, 0].unique())
        for image in visits[:, 0].unique():
            rounds = visits[visits[:, 0] == image, 1]
            assert rounds.tolist() == list(range(len(rounds)))
    images = torch.randint(0, 256, (51, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    dataset = ImageDataset(images, labels, augment=Augmentation(rotation=20))
    batches = list(BatchLoader(dataset, sampler))
    index, views = (torch.cat([getattr(batch, part) for batch in batches]) for part in ("index", "anchor"))
    again = views[index % 51 == (labels == 2).nonzero()[0, 0]]
    assert len(again) > 2
    assert len(again.unique(dim=0)) == len(again)


def test_an_anchor_that_comes_again_in_an_epoch_meets_other_images():
    labels = labels_of([40, 40, 3])
    dataset = TripletDataset(torch.arange(83, dtype=torch.uint8).view(-1, 1, 1, 1), labels)
    rare = (labels == 2).nonzero()[0].repeat(20)
    met = [dataset.__getitems__(rare, torch.arange(20))[part].unique().numel() for part in (1, 2)]
    assert met[0] == 2
    assert met[1] > 10
    assert all(part.unique(dim=0).shape[0] == 1 for part in dataset.__getitems__(rare))


@BOTH
def test_orders_differ_by_epoch_and_seed_and_can_be_repeated(kind):
    labels = labels_of([20, 20, 20])
    before = torch.get_rng_state()
    seen = [epoch_of(kind(labels, seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(one != other for number, one in enumerate(seen) for other in seen[:number])
    assert epoch_of(kind(labels, seed=1), 1) == seen[3]


@BOTH
@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 1, 1, 1], [9, 1, 1], [30, 1], [2, 2, 1]], ids=str)
@pytest.mark.parametrize(("mining", "margin"), [("all", 0.2), ("semihard", 0.2), ("hard", 0.2), ("hard", None)])
def test_classes_of_one_image_break_no_mined_triplet(kind, sizes, mining, margin):
    labels = labels_of(sizes)
    points = torch.nn.functional.normalize(torch.randn(len(labels), 4), dim=1).requires_grad_()
    loss = BatchTripletLoss(margin=margin, mining=mining)
    for batch in epoch_of(kind(labels), 0):
        mined = loss.measure(points[batch], labels[batch])
        (gradient,) = torch.autograd.grad(mined.loss, points)
        assert mined.loss.isfinite()
        assert gradient.isfinite().all()
        if kind is pk and max(labels[batch].bincount()) == 1:
            # Nobody has a positive.
            assert (mined.loss.item(), mined.valid.item()) == (0, 0)


def test_a_batch_of_one_class_has_no_triplets_and_a_gradient_of_zeros():
    labels = labels_of([9, 1, 6])
    points = torch.randn(len(labels), 4, requires_grad=True)
    for batch in epoch_of(pk(labels, p=1, k=3), 0):
        mined = BatchTripletLoss(margin=0.2, mining="semihard").measure(points[batch], labels[batch])
        (gradient,) = torch.autograd.grad(mined.loss, points)
        assert (mined.loss.item(), mined.valid.item(), gradient.abs().sum().item()) == (0, 0, 0)


def test_a_class_of_one_image_is_its_own_positive_where_triplets_are_drawn():
    labels = labels_of([9, 1, 1])
    images = torch.arange(11, dtype=torch.uint8).view(-1, 1, 1, 1)
    loader = BatchLoader(TripletDataset(images, labels), balanced(labels, images=6))
    lone = 0
    for batch in loader:
        is_lone = batch.label > 0
        assert torch.equal(batch.positive[is_lone], batch.anchor[is_lone])
        assert TripletLoss(margin=0.2)(*(part.flatten(1) for part in (batch.anchor, batch.positive, batch.negative)))
        lone += int(is_lone.sum())
    assert lone == 8


@settings(deadline=None, max_examples=100)
@given(
    batch_size=st.integers(4, 300), classes=st.integers(2, 300), p=st.none() | st.integers(2, 40),
    k=st.none() | st.integers(2, 40), world_size=st.integers(1, 8),
)  # fmt: skip
def test_given_sizes_are_kept_open_ones_fill_the_batch_and_processes_scale_it(batch_size, classes, p, k, world_size):
    batch_size = p * k if p and k else max(batch_size, 2 * (p or k or 2))
    if (p or batch_size // (k or batch_size)) > classes:
        with pytest.raises(
            ValueError, match=f"there are {classes} classes; expected at most {classes} classes_per_bat"
        ):
            fill_batch(batch_size, num_classes=classes, classes_per_batch=p, images_per_class=k)
        return
    one = fill_batch(batch_size, num_classes=classes, classes_per_batch=p, images_per_class=k)
    assert (p or one[0], k or one[1]) == one
    left = batch_size - one[0] * one[1]
    assert 0 <= left < (k if k and not p else one[0])
    assert 2 <= one[0] <= classes
    many = fill_batch(batch_size, num_classes=classes, classes_per_batch=p, images_per_class=k, world_size=world_size)
    assert many[0] == min(classes, one[0] * world_size)
    assert 0 <= one[0] * one[1] * world_size - many[0] * many[1] < many[0]


@pytest.mark.parametrize(
    ("arguments", "filled"),
    [
        ({"batch_size": 128, "num_classes": 10}, (10, 12)),
        ({"batch_size": 128, "num_classes": 1000}, (32, 4)),
        ({"batch_size": 4, "num_classes": 1000}, (2, 2)),
        ({"batch_size": 128, "num_classes": 10, "world_size": 4}, (10, 48)),
        ({"batch_size": 128, "num_classes": 1000, "world_size": 4}, (128, 4)),
        ({"batch_size": 30, "num_classes": 10, "images_per_class": 8}, (3, 8)),
        ({"batch_size": 30, "num_classes": 10, "classes_per_batch": 8}, (8, 3)),
    ],
)
def test_batches_are_filled_as_by_hand(arguments, filled):
    assert fill_batch(**arguments) == filled


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([1, 1, 9, 9], {"p": 2, "world_size": 3}, "2 small classes may have 2 for 3 processes; use fewer"),
    ],
)
def test_impossible_arguments_are_rejected(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        pk(labels_of(sizes), **options)
