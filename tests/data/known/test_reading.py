"""What all readers share: images paired with labels that are in range, and class tables that agree."""

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.data.known.reading import Reading, check_classes, checked_labels, joined, labelled
from triptych.errors import DataError

READING = Reading(shape=(1, 2, 3), classes=("a", "b"))
PATH = Path("labels-file")


def test_images_and_labels_become_uint8_and_int64_tensors_of_the_documented_shapes():
    values = np.arange(24, dtype=np.uint8)
    split = labelled(values, np.array([0, 1, 1, 0], np.uint8), reading=READING, path=PATH)
    assert split.images.shape == (4, 1, 2, 3)
    assert split.images.dtype == torch.uint8
    assert split.labels.tolist() == [0, 1, 1, 0]
    assert split.labels.dtype == torch.int64
    assert len(split) == 4
    assert split.images[1, 0].tolist() == [[6, 7, 8], [9, 10, 11]]


def test_tensors_can_be_written_to_even_when_the_file_content_cannot():
    split = labelled(np.frombuffer(bytes(6), np.uint8), np.array([1]), reading=READING, path=PATH)
    split.images.add_(1)
    assert split.images.sum() == 6


@pytest.mark.parametrize("label", [-1, 2, 2**40])
def test_a_label_out_of_range_is_named_with_its_position_in_the_file(label):
    with pytest.raises(DataError, match=rf"labels-file: expected labels from 0 to 1, .*label {label} for image 1"):
        checked_labels(np.array([0, label]), reading=READING, path=PATH)


def test_fewer_labels_than_images_are_rejected():
    with pytest.raises(DataError, match="one label for each of the 2 images, but received 1 labels"):
        labelled(np.zeros(12, np.uint8), np.array([0]), reading=READING, path=PATH)


def test_parts_are_joined_in_order():
    first = labelled(np.zeros(6, np.uint8), np.array([0]), reading=READING, path=PATH)
    second = labelled(np.ones(12, np.uint8), np.array([1, 0]), reading=READING, path=PATH)
    whole = joined([first, second])
    assert whole.labels.tolist() == [0, 1, 0]
    assert whole.images.flatten(1)[:, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("names", [["b", "a"], ["a"], ["a", "b", "c"], "ab", None, 3])
def test_another_class_table_is_rejected(names):
    with pytest.raises(DataError, match="expected the class table"):
        check_classes(names, reading=READING, path=PATH)


def test_the_same_class_table_passes():
    check_classes(["a", "b"], reading=READING, path=PATH)
