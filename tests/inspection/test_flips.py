import pytest

from triptych.inspection.flips import advise_flips, are_characters
from triptych.inspection.mirror import MirrorTest

PETS = ("cat", "dog")
DIGITS = tuple("0123456789")
HANDED = MirrorTest(images=500, told_apart=0.9, recognised=0.9, loyal=0.3, swapped=())
FACING = HANDED._replace(loyal=0.8)
EITHER = HANDED._replace(told_apart=0.51)


@pytest.mark.parametrize(
    ("classes", "test", "drawn", "helpful", "reason"),
    [
        (PETS, EITHER, False, True, "cannot be told"),
        (PETS, FACING, False, True, "80% of the mirror images"),
        (PETS, HANDED, False, False, "70% of the mirror images"),
        (PETS, EITHER, True, False, "strokes"),
        (PETS, EITHER._replace(swapped=((0, 1),)), False, False, "mirror images of each other: cat and dog"),
        (PETS, None, False, True, "too few images"),
        (DIGITS, None, False, False, "characters or numbers"),
        (DIGITS, FACING, False, False, "characters or numbers"),
        (DIGITS, EITHER, False, True, "cannot be told"),
    ],
)
def test_a_mirror_image_is_one_more_of_its_class_or_not(
    classes: tuple[str, ...], test: MirrorTest | None, drawn: bool, helpful: bool, reason: str
) -> None:
    advice = advise_flips(classes, test, drawn=drawn)

    assert advice.helpful is helpful
    assert reason in advice.reason


def test_few_images_can_be_told_apart_by_chance() -> None:
    assert not HANDED._replace(images=6, told_apart=0.8).is_handed
    assert HANDED._replace(images=60, told_apart=0.8).is_handed


@pytest.mark.parametrize(
    ("classes", "answer"),
    [
        (("0", "1", "10"), True),
        (("A", "b", "é"), True),
        (("digit_1", "digit_2"), True),
        (("sample 1", "sample 12"), True),
        (("cat", "car"), False),
        (("cat", "dog"), False),
        (("plate-A", "plate-B"), True),
    ],
)
def test_characters_and_numbers_are_known_by_their_names(classes: tuple[str, ...], answer: bool) -> None:
    assert are_characters(classes) is answer
