import numpy as np
import pytest

from triptych.inspection.flips import SIDE, advise_flips, are_characters

PHOTOGRAPHS = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE))
ICONS = np.full((20, SIDE, SIDE), 255)
ICONS[:, 8:24, 4:28] = 90
STROKES = np.full((20, SIDE, SIDE), 250) + np.random.default_rng(0).integers(-6, 6, (20, SIDE, SIDE))
STROKES[:, 15:17, 4:28] = 0


@pytest.mark.parametrize(
    "classes",
    [
        ("cat", "dog"),
        ("cherry", "apple", "grey whale"),
        ("bright", "dark"),
        ("Upright piano", "grand piano"),
        ("stop sign", "car", "tree"),
        ("soil", "rock", "theft"),
        ("maple", "oak l", "fir"),
    ],
)
def test_photographs_of_classes_without_direction_are_flipped(classes: tuple[str, ...]) -> None:
    assert advise_flips(classes, PHOTOGRAPHS).helpful


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        (("go-next", "go-previous"), "directions: go-next, go-previous"),
        (("turn_left", "turn_right", "straight"), "directions: turn_left, turn_right"),
        (("TurnLeft", "Straight"), "directions: TurnLeft"),
        (("leftarrow", "house"), "directions: leftarrow"),
        (("hand_l", "hand_r"), "characters"),
        (("hand_l", "hand_r", "no hand"), "directions: hand_l, hand_r"),
        (("Hand R", "Hand L", "none"), "directions: Hand R, Hand L"),
        (("media-skip-forward", "media-skip-backward"), "directions"),
        (("edit-undo", "edit-redo"), "directions"),
        (("links", "rechts"), "directions"),
        (("à gauche", "tout droit"), "directions"),
        (("влево", "прямо"), "directions"),
        (("左折", "直進"), "directions"),
        (("→", "←"), "characters"),
        (("way →", "way ←"), "characters"),
        (("0", "1", "2"), "characters or numbers"),
        (("zero", "One", "TWO"), "characters or numbers"),
        (("traffic sign", "no sign", "stop sign"), "writing or signs"),
        (("icons", "logo"), "writing or signs"),
    ],
)
def test_class_names_with_directions_or_writing_speak_against_flips(classes: tuple[str, ...], reason: str) -> None:
    advice = advise_flips(classes, PHOTOGRAPHS)

    assert not advice.helpful
    assert reason in advice.reason


@pytest.mark.parametrize(("images", "reason"), [(ICONS, "areas of one tone"), (STROKES, "strokes")])
def test_icons_and_strokes_speak_against_flips_whatever_the_names(images: np.ndarray, reason: str) -> None:
    advice = advise_flips(("cat", "dog"), images)

    assert not advice.helpful
    assert reason in advice.reason


def test_without_images_names_decide() -> None:
    assert advise_flips(("sneaker", "bag"), None).helpful
    assert not advise_flips(("0", "1"), None).helpful


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
        (("one", "two"), True),
        (("one", "cat"), False),
    ],
)
def test_characters_and_numbers_are_recognised_by_their_names(classes: tuple[str, ...], answer: bool) -> None:
    assert are_characters(classes) is answer
