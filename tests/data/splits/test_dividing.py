"""What was listed becomes training, validation and test images; corrupt ones are named or left out."""

from pathlib import Path

import pytest
import torch

from triptych.data.listing import TEST, TRAIN, VALIDATION, Files, Listing
from triptych.data.pixels.cache import DecodedImages
from triptych.data.pixels.mapped import MappedImages
from triptych.data.splits.dividing import complete_splits, divided
from triptych.errors import DataError


def listing(labels, split=None, groups=None) -> Listing:
    count = len(labels)
    return Listing(
        sources=[Path(f"{number}.png") for number in range(count)],
        names=[f"{number}.png" for number in range(count)],
        labels=torch.tensor(labels),
        classes=tuple("abcdef"[: max(labels) + 1]),
        split=torch.tensor(split or [0] * count, dtype=torch.int8),
        groups=groups,
        origin="read from somewhere",
        notes=("Left out 1 of .txt.",),
    )


def decoded(count: int, rejected: dict[int, str] | None = None) -> DecodedImages:
    pixels = torch.arange(count, dtype=torch.uint8).reshape(count, 1, 1, 1).expand(count, 1, 2, 2)
    return DecodedImages(MappedImages(pixels), rejected or {})


def divide(listed, images, **changes):
    options = {"fractions": (0.25, 0.25), "seed": 0, "on_corrupt": "error", "title": "letters"} | changes
    return divided(listed, images, **options)


def places(split) -> list[int]:
    assert split.images[:][:, 0, 0, 0].tolist() == [int(name.removesuffix(".png")) for name in split.names]
    return split.images[:][:, 0, 0, 0].tolist()


def test_images_without_splits_are_divided_and_stay_on_the_disk():
    listed = listing([0, 1] * 20)

    data = divide(listed, decoded(40))

    assert [len(split) for split in (data.train, data.validation, data.test)] == [20, 10, 10]
    assert sorted(places(data.train) + places(data.validation) + places(data.test)) == list(range(40))
    assert isinstance(data.train.images, MappedImages)
    assert torch.equal(data.train.labels, listed.labels[places(data.train)])
    assert (data.title, data.classes, data.notes) == ("letters", ("a", "b"), ("Left out 1 of .txt.",))


def test_given_splits_stay_and_a_missing_one_is_taken_from_training():
    data = divide(listing([0, 1] * 20, split=[0] * 30 + [2] * 10), decoded(40))

    assert places(data.test) == list(range(30, 40))
    assert len(data.train) + len(data.validation) == 30
    assert len(data.validation) == 8


def test_another_seed_divides_otherwise():
    one, other = (divide(listing([0, 1] * 20), decoded(40), seed=seed) for seed in (0, 1))

    assert places(one.test) != places(other.test)


def test_groups_stay_together():
    groups = [f"patient {number // 4}" for number in range(40)]

    data = divide(listing([0, 1] * 20, groups=groups), decoded(40))

    owners = [{groups[place] for place in places(split)} for split in (data.train, data.validation, data.test)]
    assert all(owners)
    assert sum(map(len, owners)) == 10


def test_corrupt_images_end_the_run_with_their_names_and_reasons():
    rejected = dict.fromkeys(range(3, 15), "is empty")

    with pytest.raises(DataError) as caught:
        divide(listing([0, 1] * 20), decoded(40, rejected))

    assert "12 of 40 images cannot be decoded" in str(caught.value)
    assert "3.png is empty" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert "on_corrupt: skip" in str(caught.value)


def test_skipped_images_are_left_out_and_change_nothing_for_the_others():
    whole = divide(listing([0, 1] * 20), decoded(40))

    data = divide(listing([0, 1] * 20), decoded(40, {3: "is empty", 8: "is a folder"}), on_corrupt="skip")

    for one, other in zip(
        (whole.train, whole.validation, whole.test), (data.train, data.validation, data.test), strict=True
    ):
        assert places(other) == [place for place in places(one) if place not in (3, 8)]
    assert "3.png is empty" in data.notes[-1]
    assert "8.png is a folder" in data.notes[-1]


def test_a_class_of_which_nothing_can_be_decoded_is_named():
    rejected = dict.fromkeys(range(1, 40, 2), "is empty")

    with pytest.raises(DataError, match="every class, but none of b can be decoded"):
        divide(listing([0, 1] * 20), decoded(40, rejected), on_corrupt="skip")


def test_a_split_of_which_nothing_can_be_decoded_is_named():
    split = [0] * 36 + [2] * 4

    with pytest.raises(DataError, match="Expected test images"):
        divide(
            listing([0, 1] * 20, split=split),
            decoded(40, dict.fromkeys(range(36, 40), "is empty")),
            on_corrupt="skip",
        )


def test_nothing_to_hold_out_is_one_message():
    with pytest.raises(DataError, match="No images can be held out"):
        divide(listing([0, 1, 2]), decoded(3))


def listed(split, groups=None) -> Listing:
    names = [f"{place}.png" for place in range(len(split))]
    labels = torch.arange(len(split)) % 2
    return Listing(Files(Path(), names), labels, ("a", "b"), torch.tensor(split), "made", names, groups)


def test_splits_that_are_there_stay_and_those_that_are_not_come_from_training():
    both = complete_splits(listed([TRAIN] * 40), fractions=(0.1, 0.2), seed=0)
    assert [len(places) for places in both] == [28, 4, 8]

    tested = [TEST, TEST, *[TRAIN] * 20, TEST, TEST]
    positions = complete_splits(listed(tested), fractions=(0.2, 0.5), seed=0)
    assert positions.test.tolist() == [0, 1, 22, 23]
    assert len(positions.validation) == 4
    assert sorted(torch.cat(positions).tolist()) == list(range(24))

    validated = [VALIDATION] * 2 + [TRAIN] * 20
    positions = complete_splits(listed(validated), fractions=(0.5, 0.2), seed=0)
    assert positions.validation.tolist() == [0, 1]
    assert len(positions.test) == 4

    whole = [TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 2
    positions = complete_splits(listed(whole), fractions=(0.5, 0.2), seed=0)
    assert [places.tolist() for places in positions] == [[0, 1, 2, 3], [4, 5], [6, 7]]


def test_validation_from_training_keeps_groups_together():
    groups = [None, None, *[f"g{place // 5}" for place in range(50)]]
    positions = complete_splits(listed([TEST, TEST, *[TRAIN] * 50], groups), fractions=(0.2, 0.5), seed=0)
    sides = [{groups[place] for place in places.tolist()} for places in positions]
    assert sides[2] == {None}
    assert sides[0] & sides[1] == set()
    assert sides[1]
