"""Images of every origin get the pixels that a run would have given the same images in files."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config.schema import DatasetConfig
from triptych.data.builder import prepare_images, read_images
from triptych.data.own.unlabelled import UnlabelledImages
from triptych.data.pixels.entries import Form
from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.resizing import decode_and_fit
from triptych.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
FORM = Form((3, 16, 16), "letterbox")


def png(pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "photo.png").write_bytes(png())
    return tmp_path / "photo.png"


def expected(channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(decode_and_fit(png(), size=(16, 16), channels=channels)).permute(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_image_gives_the_same_pixels(file, channels):
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    kinds = [file, str(file), png(), Image.open(file), Image.fromarray(PIXELS), PIXELS, tensor]
    kinds += [tensor / 255, tensor.double() / 255, PIXELS / 255, (PIXELS / 255).astype(np.float32)]
    form = Form((channels, 16, 16), "letterbox")

    together = UnlabelledImages(kinds, form, threads=2)

    assert together.shape == (len(kinds), channels, 16, 16)
    assert all(torch.equal(pixels, expected(channels)) for pixels in together[:])
    for kind in kinds:
        assert torch.equal(UnlabelledImages(kind, form)[:], expected(channels)[None])


def test_images_of_any_mode_are_brought_to_the_channels_of_the_run(file):
    opaque = np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)])
    clear = np.dstack([PIXELS, np.zeros((20, 30), np.uint8)])
    grey = Image.fromarray(PIXELS).convert("L")
    images = UnlabelledImages(
        [opaque, clear, np.asarray(grey), grey.convert("RGB"), np.asarray(grey) > 99, Image.fromarray(PIXELS, "RGB")],
        Form((3, 20, 30), "stretch"),
    )[:]
    assert (images[0].permute(1, 2, 0).numpy() == PIXELS).all()
    assert (images[1] == 255).all()
    assert torch.equal(images[2], images[3])
    assert images[4].unique().tolist() == [0, 255]
    deep = np.asarray(grey).astype(np.uint16) * 257
    assert torch.equal(UnlabelledImages(deep, Form((1, 20, 30), "stretch"))[0][0], torch.from_numpy(np.array(grey)))


def test_a_folder_is_all_images_in_it_and_below_in_natural_order(tmp_path):
    for name in ("10.png", "9.png", "deep/er/1.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    images = UnlabelledImages(tmp_path, FORM)
    assert images.paths == tuple(tmp_path / name for name in ("9.png", "10.png", "deep/er/1.png"))
    assert images.names == tuple(map(str, images.paths))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected a folder of images, but it contains none"):
        UnlabelledImages(str(tmp_path / "empty"), FORM)


def test_batches_are_their_images(file):
    arrays, tensors = np.stack([PIXELS] * 2), torch.from_numpy(np.stack([PIXELS] * 3)).permute(0, 3, 1, 2)
    images = UnlabelledImages([arrays, file, tensors], FORM)
    assert len(images) == 6
    assert images.names[1:4] == ("image 1", str(file), "image 3")
    assert images.paths[1:4] == (None, file, None)
    assert torch.equal(images[:], expected().expand(6, -1, -1, -1))
    assert len(UnlabelledImages(np.array([str(file)] * 4), FORM)) == 4
    assert len(UnlabelledImages((file for _ in range(4)), FORM)) == 4


def test_images_are_indexed_like_those_of_a_split(file):
    images = UnlabelledImages([file, 255 - PIXELS, PIXELS], FORM, padding=2)
    assert images.shape == (3, 3, 20, 20)
    assert images[1].shape == (3, 20, 20)
    assert images[1:1].shape == (0, 3, 20, 20)
    assert torch.equal(images[[2, 1]], images[torch.tensor([2, 1])])
    assert torch.equal(images[2], images[-1])
    assert torch.equal(images[0][:, 2:-2, 2:-2], expected())
    assert images[0][:, :2].max() == 0


def test_pillow_images_of_the_caller_stay_as_they_were(file):
    with Image.open(file) as image:
        UnlabelledImages(image, Form((1, 8, 8), "crop"))[:]
        assert image.mode == "RGB"
        assert image.size == (30, 20)


def test_pixels_of_a_run_are_those_of_its_config(file):
    dataset = DatasetConfig(name="folder", root="x", image_size=16, channels=1, pad=2, fit="crop")
    prepared = prepare_images(file, dataset)
    assert prepared.shape == (1, 1, 20, 20)
    assert torch.equal(read_images(file, dataset), prepared[:] / 255)
    assert torch.equal(read_images([file], dataset), read_images(PIXELS, dataset))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (PIXELS * 1.0, r"image 0 has values from 0 to 255, where 0 to 1 is expected"),
        (PIXELS * np.nan, "image 0 has values from nan to nan"),
        (PIXELS.astype(np.int64), "image 0 holds int64, where uint8"),
        (PIXELS.transpose(2, 0, 1), "image 0 has 30 channels, where 3 are expected"),
        (np.zeros((0, 5, 3), np.uint8), "image 0 has no pixels"),
        (np.zeros((5, 5, 0), np.uint8), "image 0 has no channels"),
        (b"no image", "image 0 is none of"),
        (Path("/nowhere.png"), "/nowhere.png does not exist"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(image, words):
    with pytest.raises(UndecodableImage, match=words):
        UnlabelledImages(image, FORM)[:]


@pytest.mark.parametrize(
    ("images", "words"), [(3, "but got int"), ([None], "but got NoneType"), (np.zeros(3), "shape")]
)
def test_what_is_not_an_image_is_a_type_error(images, words):
    with pytest.raises(TypeError, match=words):
        UnlabelledImages(images, FORM)
