import pytest

from triptych.inspection.suggestion.image_size import Size, choose_fit, size_of, usual_ratio, usual_side


@pytest.mark.parametrize(
    ("size", "images", "has_gpu", "side"),
    [
        ((28, 28), 60_000, True, 28),
        ((8, 8), 1_797, False, 8),
        ((5, 7), 100, False, 8),
        ((32, 50), 1_000, False, 32),
        ((480, 640), 100_000, False, 64),
        ((480, 640), 1_000, True, 64),
        ((480, 640), 5_000, True, 128),
        ((480, 640), 100_000, True, 224),
        ((100, 140), 100_000, True, 64),
        ((60, 90), 5_000, True, 64),
        ((41, 90), 5_000, True, 40),
    ],
)
def test_the_side_follows_the_images_their_number_and_the_machine(
    size: tuple[int, int], images: int, has_gpu: bool, side: int
) -> None:
    assert usual_side([size] * 9, images=images, has_gpu=has_gpu) == side


@pytest.mark.parametrize("patch_size", [2, 4, 8, 16])
@pytest.mark.parametrize("side", [8, 20, 28, 33, 56, 64, 128])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (2, 1), (9, 1)])
def test_patches_always_divide_the_size(patch_size: int, side: int, shape: tuple[int, int]) -> None:
    height, width = (part * side // min(shape) for part in shape)

    size = size_of(side, [(height, width)] * 5, patch_size=patch_size)

    assert (size.height + 2 * size.pad) % patch_size == 0
    assert (size.width + 2 * size.pad) % patch_size == 0
    assert min(size.height, size.width) >= 8
    assert max(size.height, size.width) <= max(56, 4 * (min(size.height, size.width) + patch_size)) + patch_size


def test_small_images_are_padded_and_not_resampled() -> None:
    assert size_of(28, [(28, 28)] * 3, patch_size=8) == Size(28, 28, 2)


def test_images_that_lie_and_stand_are_made_square() -> None:
    assert usual_ratio([(300, 400)] * 5 + [(400, 300)] * 5) == 1
    assert usual_ratio([(300, 400)] * 10) == pytest.approx(4 / 3)
    assert usual_ratio([(400, 300)] * 10) == pytest.approx(3 / 4)
    assert usual_ratio([(10, 1000)] * 10) == 4


@pytest.mark.parametrize(
    ("sizes", "keeps_all", "how"),
    [
        ([(64, 64)] * 9, False, "letterbox"),
        ([(64, 64)] * 9, True, "letterbox"),
        ([(100, 103)] * 9, True, "stretch"),
        ([(100, 120)] * 9, False, "crop"),
        ([(100, 120)] * 9, True, "letterbox"),
        ([(100, 200)] * 9, False, "letterbox"),
    ],
)
def test_the_fit_distorts_little_and_cuts_off_little(sizes: list[tuple[int, int]], keeps_all: bool, how: str) -> None:
    assert choose_fit(Size(64, 64, 0), sizes, keeps_all=keeps_all).how == how
