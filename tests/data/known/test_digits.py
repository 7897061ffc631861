"""The digits of scikit-learn: all of them, scaled to bytes, divided always in the same way and by class."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from triptych.data.known.digits import read_digits


def test_every_digit_is_in_one_of_the_two_parts_with_its_own_label():
    train, test = read_digits()
    images = torch.cat([train.images, test.images])[:, 0].flatten(1)
    labels = torch.cat([train.labels, test.labels])
    bunch = load_digits()
    ours = sorted((*image, label) for image, label in zip(images.tolist(), labels.tolist(), strict=True))
    theirs = sorted(
        (*(int(value * 255 / 16 + 0.5) for value in image), label)
        for image, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)
    )
    assert ours == theirs
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64


def test_a_fifth_of_every_class_is_the_test_set():
    train, test = read_digits()
    assert (len(train), len(test)) == (1437, 360)
    share = test.labels.bincount() / (train.labels.bincount() + test.labels.bincount())
    assert (share - 0.2).abs().max() < 0.005


def test_the_split_is_the_same_every_time_whatever_the_global_seeds():
    first = read_digits()
    np.random.seed(2)  # noqa: NPY002  # the generator that scikit-learn falls back to
    second = read_digits()
    assert torch.equal(first[1].images, second[1].images)
    # The first test digits as they have been since the first release: a change would make results incomparable.
    assert first[1].labels[:12].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3, 2, 6]
