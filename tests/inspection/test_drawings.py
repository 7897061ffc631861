import numpy as np
import pytest
from PIL import Image, ImageDraw

from triptych.data.builder import load_dataset
from triptych.inspection.drawings import drawn_in_strokes, has_flat_areas


def page(text: str, *, ink: int = 0, ground: int = 255) -> np.ndarray:
    image = Image.new("L", (96, 96), ground)
    ImageDraw.Draw(image).text((8, 20), text, fill=ink, font_size=18)
    return np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (40, 220)])
def test_text_is_drawn_in_strokes_dark_or_bright(ink: int, ground: int) -> None:
    pages = np.stack([page(text, ink=ink, ground=ground) for text in ("Hello", "word", "sign")])

    assert drawn_in_strokes(pages)


def test_photographs_and_plain_areas_are_not() -> None:
    random = np.random.default_rng(0)
    shaded = np.tile(np.linspace(0, 255, 32), (5, 32, 1))

    assert not drawn_in_strokes(random.integers(0, 256, (5, 32, 32)))
    assert not drawn_in_strokes(shaded)
    assert not drawn_in_strokes(np.full((5, 32, 32), 128))
    assert not drawn_in_strokes(np.zeros((0, 32, 32)))


def test_thick_shapes_are_not() -> None:
    squares = np.full((3, 32, 32), 255)
    squares[:, 8:24, 8:24] = 0

    assert not drawn_in_strokes(squares)


def test_most_images_decide() -> None:
    pages = np.stack([page("text"), page("text"), np.tile(np.linspace(0, 255, 32), (32, 1)).astype(np.uint8)])

    assert drawn_in_strokes(pages)
    assert not drawn_in_strokes(pages[1:])


def test_handwritten_digits_of_eight_pixels_are_too_coarse_to_judge() -> None:
    digits = load_dataset("digits").train.images[:50, 0].repeat_interleave(4, 1).repeat_interleave(4, 2)

    assert not drawn_in_strokes(digits.numpy())


def scene(seed: int) -> np.ndarray:
    """A smooth scene with the noise of a camera, reduced as photographs are."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5), np.uint8)).resize((128, 128), Image.Resampling.BICUBIC)
    noisy = np.asarray(coarse) + random.normal(0, 8, (128, 128))
    return np.asarray(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).resize((32, 32), Image.Resampling.BOX))


def icon(seed: int) -> np.ndarray:
    """A few plain shapes on a plain background."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (128, 128), 255)
    for _ in range(3):
        left, top = random.integers(10, 60, 2).tolist()
        ImageDraw.Draw(image).ellipse((left, top, left + 50, top + 50), fill=int(random.integers(0, 200)))
    return np.asarray(image.resize((32, 32), Image.Resampling.BOX))


def test_icons_have_flat_areas_and_photographs_have_not() -> None:
    assert has_flat_areas(np.stack([icon(seed) for seed in range(20)]))
    assert not has_flat_areas(np.stack([scene(seed) for seed in range(20)]))


def test_no_images_have_no_flat_areas() -> None:
    assert not has_flat_areas(np.zeros((0, 32, 32)))
