import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.images import Split
from triptych.data.splits.holdout import held_out_labels, hold_out
from triptych.errors import ConfigError

ANIMALS = ("ant", "bee", "cow", "dog", "eel")


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [([], []), ([3, 1], [1, 3]), (["dog", "ant"], [0, 3]), ([4, "bee"], [1, 4]), (["3", "1"], None)],
)
def test_classes_are_named_by_number_or_by_name(wanted: list, labels: list[int] | None) -> None:
    if labels is None:
        with pytest.raises(ConfigError, match="got '3'"):
            held_out_labels(wanted, ANIMALS)
    else:
        assert held_out_labels(wanted, ANIMALS) == labels


def test_a_class_whose_name_is_a_number_is_meant_by_its_name() -> None:
    assert held_out_labels([9, 7], ("7", "8", "9", "10")) == [0, 2]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["cat", "dog"], r"expected names or numbers among 0 \(ant\), .*; got 'cat'"),
        ([5, 1], "got 5"),
        ([1, "bee"], "every class once"),
        ([1], "at least two classes"),
        ([0, 1, 2, 3], "at least two of the 5 classes to remain"),
    ],
)
def test_impossible_settings_are_reported(wanted: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        held_out_labels(wanted, ANIMALS)


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=30), held=st.sets(st.integers(0, 4), max_size=3))
def test_every_image_keeps_its_class_name_on_one_side_or_the_other(labels: list[int], held: set[int]) -> None:
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1)

    known, held_out = hold_out(Split(images, torch.tensor(labels)), sorted(held), num_classes=5)

    names = {side: [name for label, name in enumerate(ANIMALS) if (label in held) == side] for side in (False, True)}
    found = {}
    for side, part in ((False, known), (True, held_out)):
        for image, label in zip(part.images.flatten().tolist(), part.labels.tolist(), strict=True):
            found[image] = names[side][label]
    assert found == {number: ANIMALS[label] for number, label in enumerate(labels)}
    assert sorted(known.images.flatten().tolist()) == known.images.flatten().tolist()
