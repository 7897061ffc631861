"""Class names: what counts as the same label, how classes are ordered, and which sets of classes are rejected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.listing import TEST, TRAIN, VALIDATION
from triptych.data.own.classes import (
    check_groups,
    class_name,
    number_classes,
    number_values,
    plain_text,
)
from triptych.data.own.names import composed, natural_key
from triptych.errors import DataError


def numbered(values, parts=None, **options):
    """The labels and classes of images that are called by the names of their classes."""
    names, codes = number_values(values, plain_text)
    split = np.array(parts or [TRAIN] * len(values), np.int8)
    labels, classes = number_classes(names, codes, split, origin="photos", **options)
    return labels.tolist(), classes


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        (["-1", "10", "-10", "0", "2.5"], ["-10", "-1", "0", "2.5", "10"]),
        (["img10", "img9", "Img1"], ["Img1", "img9", "img10"]),
        (["a2b10", "a2b9", "a10b1"], ["a2b9", "a2b10", "a10b1"]),
        (["b", "A", "a", "B"], ["A", "a", "B", "b"]),
        (["x02", "x2", "x1"], ["x1", "x02", "x2"]),
        (["zebra", "10", "9"], ["9", "10", "zebra"]),
        (["1" * 400, "2"], ["2", "1" * 400]),
        (["é", "z", "e"], ["e", "z", "é"]),
    ],
)
def test_classes_are_in_natural_order_and_numbers_by_their_size(names, ordered):
    labels, classes = numbered(names)
    assert list(classes) == ordered
    assert [classes[label] for label in labels] == names


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.randoms(use_true_random=False))
def test_the_natural_order_does_not_depend_on_the_order_before(names, random):
    ordered = sorted(names, key=natural_key)
    random.shuffle(names)
    assert sorted(names, key=natural_key) == ordered


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.sampled_from(["", "img ", "é"]))
def test_numbers_in_names_are_compared_as_numbers(one, other, before):
    keys = [natural_key(f"{before}{number}.png") for number in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)


def test_labels_that_mean_the_same_are_one_class():
    labels, classes = numbered([1, "1", 1.0, "1.0", " 1 ", 2, "2.", "01"])
    assert classes == ("01", "1", "2")
    assert labels == [1, 1, 1, 1, 1, 2, 2, 0]


def test_accents_are_one_letter_however_they_are_written():
    labels, classes = numbered(["cafe\u0301", "caf\u00e9", "tea"])
    assert classes == ("caf\u00e9", "tea")
    assert labels == [0, 0, 1]
    assert composed("plain") == "plain"


def test_values_without_meaning_have_no_number():
    names, codes = number_values(["cat", None, float("nan"), "", "  ", "cat", True], plain_text)
    assert names == ["cat", "True"]
    assert codes.tolist() == [0, -1, -1, -1, -1, 0, 1]


def test_numbers_are_replaced_by_class_names_in_their_order():
    names, codes = number_values([2, 0, -1, 3, None, 2], class_name(["zebra", "yak", "ant"]))
    assert names == ["ant", "zebra"]
    assert codes.tolist() == [0, 1, -1, -1, -1, 0]
    split = np.zeros(3, np.int8)
    labels, classes = number_classes(names, codes[[0, 1, 5]], split, origin="x", order=["zebra", "yak", "ant"])
    assert classes == ("zebra", "ant")
    assert labels.tolist() == [1, 0, 1]


def test_validation_and_test_may_lack_classes_but_have_none_of_their_own():
    labels, classes = numbered(["cat", "dog", "dog", "cat"], [TRAIN, TRAIN, VALIDATION, TEST])
    assert (labels, classes) == ([0, 1, 1, 0], ("cat", "dog"))
    with pytest.raises(
        DataError, match=r"photos: expected training images of every class, .* none of ant, yak2, yak10,"
    ):
        numbered(["cat", "dog", "yak10", "ant", "yak2"], [TRAIN, TRAIN, TEST, VALIDATION, TEST])


@pytest.mark.parametrize(
    ("values", "parts", "received"),
    [
        (["cat"] * 3, None, r"images of one \(cat\)"),
        (["cat", "dog"], [TEST, TEST], "none"),
        (["cat", "cat"], [TRAIN, TEST], r"images of one \(cat\)"),
    ],
)
def test_one_class_is_too_few(values, parts, received):
    with pytest.raises(DataError, match=f"expected training images of at least two classes, but received {received}"):
        numbered(values, parts)


def test_a_group_in_two_splits_is_rejected_and_rows_without_one_are_free():
    split = np.array([TRAIN, TEST, TRAIN, TEST, TRAIN, TEST])
    check_groups(None, split, origin="x.csv")
    check_groups([None, None, "a", "b", "a", "b"], split, origin="x.csv")
    message = (
        r"x\.csv: expected all images of a group in one split, .* 2 groups in several: b, for one, in test and train"
    )
    with pytest.raises(DataError, match=message):
        check_groups(["a", "b", "b", "c", "c", None], split, origin="x.csv")
