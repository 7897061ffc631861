from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.data.dividing import divided, usual_channels
from triptych.data.listing import Listing
from triptych.data.pixels.cache import DecodedImages
from triptych.data.pixels.mapped import MappedImages
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


def decoded(count: int, refused: dict[int, str] | None = None) -> DecodedImages:
    pixels = torch.arange(count, dtype=torch.uint8).reshape(count, 1, 1, 1).expand(count, 1, 2, 2)
    return DecodedImages(pixels, refused or {})


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
    refused = dict.fromkeys(range(3, 15), "is empty")

    with pytest.raises(DataError) as caught:
        divide(listing([0, 1] * 20), decoded(40, refused))

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
    refused = dict.fromkeys(range(1, 40, 2), "is empty")

    with pytest.raises(DataError, match="every class, but none of b can be decoded"):
        divide(listing([0, 1] * 20), decoded(40, refused), on_corrupt="skip")


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


@pytest.mark.parametrize(
    ("kinds", "channels"),
    [
        (["grey", "grey", "colour"], 1),
        (["grey as colour", "grey", "colour"], 1),
        (["colour", "colour", "grey"], 3),
        (["broken", "grey"], 1),
        (["array", "array", "colour"], 5),
    ],
)
def test_channels_are_those_of_most_images(tmp_path, kinds, channels):
    colour = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    files = []
    for number, kind in enumerate(kinds):
        file = tmp_path / f"{number}.png"
        match kind:
            case "grey":
                Image.fromarray(colour[..., 0]).save(file)
            case "grey as colour":
                Image.fromarray(colour[..., :1].repeat(3, axis=2)).save(file)
            case "colour":
                Image.fromarray(colour).save(file)
            case "broken":
                file.write_text("no image")
            case "array":
                file = file.with_suffix(".npy")
                np.save(file, colour[..., :1].repeat(5, axis=2))
        files.append(file)

    assert usual_channels(files) == channels


def test_channels_of_nothing_that_can_be_decoded_is_one_message(tmp_path):
    (tmp_path / "a.png").write_text("no image")

    with pytest.raises(DataError, match="none could be decoded"):
        usual_channels([tmp_path / "a.png"])
