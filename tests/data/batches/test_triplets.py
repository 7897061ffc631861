"""The data sets: what an item is, that batches and single items agree, and the invariants of triplets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from triptych.data.augment.augmentation import Augmentation
from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.batches.triplets import ImageDataset, TripletDataset

AUGMENT = Augmentation(rotation=20, translate=0.2, perspective=0.3, crop_padding=1, erasing=0.5, hue=0.2, contrast=0.3)
BOTH = pytest.mark.parametrize("dataset_class", [ImageDataset, TripletDataset])

class_lists = st.lists(st.integers(0, 5), min_size=2, max_size=40).filter(lambda labels: len(set(labels)) > 1)


def images_of(count, channels=1, side=4):
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)


def numbered_images(count):
    """Images that hold their own position: one pixel, up to 256 of them."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


def position_of(image):
    return round(image.item() * 255)


@settings(deadline=None, max_examples=100)
@given(labels=class_lists, seed=st.integers(0, 10**9), epoch=st.integers(0, 1000))
def test_positives_share_the_class_and_negatives_do_not(labels, seed, epoch):
    dataset = TripletDataset(numbered_images(len(labels)), torch.tensor(labels), seed=seed)
    dataset.set_epoch(epoch)
    for index in range(len(labels)):
        anchor, positive, negative, label = dataset[index]
        assert position_of(anchor) == index
        assert label.item() == labels[index] == labels[position_of(positive)]
        assert (position_of(positive) == index) == (labels.count(labels[index]) == 1)
        assert labels[position_of(negative)] != labels[index]


def test_positives_and_negatives_are_each_as_likely_as_the_next():
    labels = torch.tensor([4, 1, 4, 9, 1, 4, 4, 9, 9, 9, 4, 0])
    dataset = TripletDataset(numbered_images(12), labels)
    drawn = []
    for epoch in range(2000):
        dataset.set_epoch(epoch)
        drawn.append(torch.stack(dataset.triplet_indices(torch.arange(12))))
    positives, negatives = torch.stack(drawn).unbind(1)
    for anchor in range(12):
        partners = [other for other in range(12) if labels[other] == labels[anchor] and other != anchor] or [anchor]
        others = [other for other in range(12) if labels[other] != labels[anchor]]
        for chosen, candidates in ((positives[:, anchor], partners), (negatives[:, anchor], others)):
            counts = torch.bincount(chosen, minlength=12)
            assert counts.sum() == counts[candidates].sum()
            assert len(candidates) == 1 or stats.chisquare(counts[candidates].numpy()).pvalue > 1e-4


def test_positive_and_negative_are_drawn_independently():
    dataset = TripletDataset(images_of(40000, side=1), torch.arange(40000) % 2)
    positives, negatives = (drawn.double() for drawn in dataset.triplet_indices(torch.arange(40000)))
    assert abs(torch.corrcoef(torch.stack((positives, negatives)))[0, 1]) < 0.02


def test_the_triplets_of_the_real_digits_hold_their_invariants():
    digits = load_digits()
    images, labels = torch.from_numpy((digits.images * 15.9).astype(np.uint8))[:, None], torch.from_numpy(digits.target)
    dataset = TripletDataset(images, labels, augment=AUGMENT, seed=1)
    everything = torch.arange(len(labels))
    positives, negatives = dataset.triplet_indices(everything)
    assert (labels[positives] == labels).all()
    assert (positives != everything).all()
    assert (labels[negatives] != labels).all()
    anchors, *_, batch_labels = dataset.__getitems__(everything)
    assert anchors.shape == (1797, 1, 8, 8)
    assert torch.equal(batch_labels, labels)


@BOTH
@pytest.mark.parametrize("sides", [8, 28, 33])
def test_an_item_is_exactly_its_row_of_any_batch(dataset_class, sides):
    torch.manual_seed(0)
    dataset = dataset_class(images_of(30, 3, sides), torch.arange(30) % 4, augment=AUGMENT, seed=3)
    dataset.set_epoch(2)
    indices = torch.randperm(30)[:17]
    batch = dataset.__getitems__(indices)
    for row, index in enumerate(indices.tolist()):
        for together, alone in zip(batch, dataset[index], strict=True):
            assert torch.equal(together[row], alone)
    for together, reordered in zip(batch, dataset.__getitems__(indices.flip(0).tolist()), strict=True):
        assert torch.equal(together.flip(0), reordered)


@BOTH
def test_items_depend_on_seed_and_epoch_alone(dataset_class):
    torch.manual_seed(0)
    images, labels = images_of(20, 3, 8), torch.arange(20) % 3

    def batch(seed, epoch):
        dataset = dataset_class(images, labels, augment=AUGMENT, seed=seed)
        dataset.__getitems__([5, 6])  # leaves no trace
        dataset.set_epoch(epoch)
        return dataset.__getitems__(range(20))

    for first, second in zip(batch(1, 4), batch(1, 4), strict=True):
        assert torch.equal(first, second)
    for other in (batch(2, 4), batch(1, 5), batch(4, 1)):
        assert not torch.equal(batch(1, 4)[0], other[0])


def test_every_epoch_draws_new_triplets():
    dataset = TripletDataset(images_of(100), torch.arange(100) % 2)
    first = dataset.triplet_indices(range(100))
    dataset.set_epoch(1)
    for before, after in zip(first, dataset.triplet_indices(range(100)), strict=True):
        assert (before != after).float().mean() > 0.9


@pytest.mark.parametrize("dataset_class", [ImageDataset, TripletDataset])
def test_after_the_augmented_epochs_images_come_as_they_are(dataset_class):
    images, labels = images_of(6), torch.arange(6) % 2
    dataset = dataset_class(images, labels, augment=AUGMENT, augmented_epochs=2)
    plain = images.float() / 255

    for epoch, is_plain in enumerate([False, False, True, True]):
        dataset.set_epoch(epoch)
        assert torch.equal(dataset.__getitems__(range(6))[0], plain) == is_plain


def test_the_views_of_a_triplet_are_augmented_independently():
    images = images_of(1, 1, 12).expand(4, -1, -1, -1)
    dataset = TripletDataset(images, torch.arange(4), augment=Augmentation(rotation=90, translate=0.2))
    anchor, positive, negative, _ = dataset[0]  # alone in its class: anchor and positive are one image
    assert not torch.allclose(anchor, positive, atol=1e-2)
    assert not torch.allclose(anchor, negative, atol=1e-2)
    assert not torch.allclose(positive, negative, atol=1e-2)


def test_images_are_scaled_to_the_unit_interval_in_float32():
    images = torch.tensor([0, 51, 255, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    batch, labels = ImageDataset(images, torch.tensor([7, 7, 2, 2], dtype=torch.int32)).__getitems__([0, 1, 2])
    assert torch.equal(batch.flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert batch.dtype == torch.float32
    assert labels.tolist() == [7, 7, 2]
    assert labels.dtype == torch.int64
    assert images.flatten().tolist() == [0, 51, 255, 255]


def test_any_function_of_images_and_draws_can_augment():
    dataset = ImageDataset(images_of(5), torch.zeros(5, dtype=torch.int64), augment=lambda images, draws: 0 * images)
    assert dataset[3][0].abs().sum() == 0


@BOTH
def test_indices_count_from_the_end_and_stop_at_the_ends(dataset_class):
    dataset = dataset_class(images_of(5), torch.tensor([0, 0, 1, 1, 1]), augment=AUGMENT)
    assert len(dataset) == 5
    for last, same in zip(dataset[-1], dataset[4], strict=True):
        assert torch.equal(last, same)
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"index {index} is out of range for a data set of 5 images"):
            dataset[index]
        with pytest.raises(IndexError):
            dataset.__getitems__([0, index])
    assert len(list(dataset)) == 5  # the IndexError ends a plain loop


@BOTH
@pytest.mark.parametrize("indices", [np.array([0, 3]), range(0, 4, 3), (0, 3), torch.tensor([0, 3])])
def test_indices_may_come_in_any_sequence(dataset_class, indices):
    dataset = dataset_class(images_of(4), torch.tensor([0, 0, 1, 1]))
    assert torch.equal(dataset.__getitems__(indices)[0], dataset.__getitems__([0, 3])[0])


def test_a_loader_takes_whole_batches():
    dataset = TripletDataset(numbered_images(10), torch.arange(10) % 2)
    sampler = BalancedBatchSampler(10, batch_size=4, shuffle=True)
    batches = list(DataLoader(dataset, batch_sampler=sampler, collate_fn=lambda batch: batch))
    assert [len(labels) for *_, labels in batches] == [3, 3, 4]
    assert sorted(position_of(anchor) for anchors, *_ in batches for anchor in anchors) == list(range(10))


@BOTH
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.zeros(4, 1, 2, 2),
            torch.tensor([0, 0, 1, 1]),
            "images must be a uint8 tensor .* torch.float32; convert",
        ),
        (images_of(4)[:, 0], torch.tensor([0, 0, 1, 1]), r"images must be .* got shape \(4, 4, 4\) .*; convert"),
        (images_of(4).numpy(), torch.tensor([0, 0, 1, 1]), "images must be .* got a ndarray; convert"),
        (images_of(0), torch.tensor([], dtype=torch.int64), "at least one image, but got shape"),
        (images_of(4), torch.tensor([0, 1, 1]), "the same length, but got 4 images and 3 labels; give"),
        (images_of(4), torch.tensor([0.0, 0, 1, 1]), "labels must be .* integers .* torch.float32; convert"),
        (images_of(4), torch.tensor([True, True, False, False]), "labels must be .* torch.bool; convert"),
        (images_of(4), torch.tensor([[0, 0, 1, 1]]), r"labels must be .* got shape \(1, 4\) .*; convert"),
        (images_of(4), [0, 0, 1, 1], "labels must be .* got a list; convert"),
        (images_of(4), torch.tensor([0, 0, -1, 1]), "labels must be at least 0, but the least is -1; number"),
    ],
)
def test_wrong_images_and_labels_are_rejected_with_what_to_do(dataset_class, images, labels, message):
    with pytest.raises(ValueError, match=message):
        dataset_class(images, labels)


def test_triplets_of_one_class_are_rejected():
    with pytest.raises(ValueError, match=r"at least two classes, .* but all 3 are 4; add"):
        TripletDataset(images_of(3), torch.tensor([4, 4, 4]))
    assert len(ImageDataset(images_of(3), torch.tensor([4, 4, 4]))) == 3
