"""What new images go through before a model sees them, and what their owner hears of it."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from triptych.data.pixels.preprocessing import Preprocessing
from triptych.errors import ImageWarning


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def deep(bits: int) -> np.ndarray:
    return np.linspace(0, 2**bits - 1, 64).reshape(8, 8).astype(np.uint16)


def warned(white: int, *images: object) -> list[str]:
    form = Preprocessing(shape=(1, 8, 8), fit="letterbox", pad=0, white=white)
    with warnings.catch_warnings(record=True) as caught:
        for image in images:
            form.prepare(form.known(image))
    return [str(one.message) for one in caught if issubclass(one.category, ImageWarning)]


@pytest.mark.parametrize("bits", [12, 14])
@pytest.mark.parametrize("as_file", [True, False], ids=["file", "array"])
def test_images_of_a_camera_given_to_a_model_of_other_images_are_reported_once(bits, as_file):
    image = file_of(deep(bits)) if as_file else deep(bits)
    (message,) = warned(65535, image, image)
    assert "the model's white is 65,535" in message


@pytest.mark.parametrize(
    ("white", "image"),
    [
        (4095, deep(12)),
        (65535, deep(16)),
        (65535, np.zeros((8, 8), np.uint16)),
        (65535, np.full((8, 8), 9, np.uint8)),
        (65535, file_of(np.full((8, 8), 0.1, np.float32), "TIFF")),
    ],
    ids=["its own white", "16 bits", "black", "dark, of 8 bits", "dark, of floats"],
)
def test_images_that_are_read_as_they_should_be_are_not_reported(white, image):
    assert warned(white, image) == []
