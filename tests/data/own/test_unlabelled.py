"""Images of every kind become the same batches: files, folders, PIL images, arrays and tensors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config.schema import DatasetConfig
from triptych.data.builder import read_images
from triptych.data.own.unlabelled import flattened, image_batches
from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.preprocessing import Preprocessing
from triptych.errors import DataError

GREY = Preprocessing(shape=(1, 6, 8), fit="letterbox", pad=0)
PADDED = Preprocessing(shape=(3, 6, 8), fit="stretch", pad=1)


def pixels_of(images, preprocessing=PADDED, size=2):
    batches = list(image_batches(images, preprocessing, size=size))
    return np.concatenate([batch.pixels for batch in batches]), [path for batch in batches for path in batch.paths]


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)


def test_pixels_of_the_right_size_are_only_scaled_and_padded(noise):
    pixels, paths = pixels_of(noise)

    assert pixels.dtype == np.float32
    assert pixels.shape == (5, 3, 8, 10)
    assert np.array_equal(pixels[:, :, 1:-1, 1:-1], noise.transpose(0, 3, 1, 2) / np.float32(255))
    assert pixels.sum() == pytest.approx(pixels[:, :, 1:-1, 1:-1].sum())
    assert paths == [None] * 5


def test_every_form_of_an_image_gives_the_same_pixels(noise, tmp_path):
    expected, _ = pixels_of(noise)
    files = [tmp_path / f"{number}.png" for number in range(5)]
    for file, image in zip(files, noise, strict=True):
        Image.fromarray(image).save(file)
    channels_first = torch.from_numpy(noise).permute(0, 3, 1, 2)
    forms = {
        "paths": files,
        "text": [str(file) for file in files],
        "text in an array": np.array([str(file) for file in files]),
        "folder": tmp_path,
        "folder as text": str(tmp_path),
        "folder in a list": [tmp_path],
        "bytes": [file.read_bytes() for file in files],
        "pil": [Image.fromarray(image) for image in noise],
        "opened": [Image.open(file) for file in files],
        "generator": (image for image in noise),
        "tuple": tuple(noise),
        "batches": [noise[:2], noise[2:]],
        "uint8 tensor": channels_first,
        "float tensor": channels_first.float() / 255,
        "double tensor": channels_first.double() / 255,
        "float array": noise / np.float32(255),
        "tensors": list(channels_first.float() / 255),
        "a little beyond [0, 1]": channels_first.double() / 255 * 1.0018 - 0.0009,
    }
    for name, images in forms.items():
        pixels, paths = pixels_of(images)
        np.testing.assert_allclose(pixels, expected, atol=2e-3 if name.startswith("a little") else 1e-7, err_msg=name)
        assert paths == (files if name.startswith(("paths", "text", "folder")) else [None] * 5), name


@pytest.mark.parametrize(
    "one",
    [
        lambda image, file: image,
        lambda image, file: file,
        lambda image, file: str(file),
        lambda image, file: file.read_bytes(),
        lambda image, file: Image.open(file),
        lambda image, file: torch.from_numpy(image).permute(2, 0, 1),
    ],
)
def test_one_image_is_a_batch_of_one(noise, tmp_path, one):
    Image.fromarray(noise[0]).save(tmp_path / "a.png")
    pixels, _ = pixels_of(one(noise[0], tmp_path / "a.png"))

    assert np.array_equal(pixels, pixels_of(noise[:1])[0])


def test_a_tensor_of_the_padded_size_is_taken_as_it_is():
    prepared = torch.rand(3, 3, 8, 10)
    pixels, _ = pixels_of(prepared)

    assert np.array_equal(pixels, prepared.numpy())


def test_a_tensor_of_another_size_takes_the_road_of_files(tmp_path):
    large = torch.randint(0, 256, (3, 30, 20), dtype=torch.uint8)
    Image.fromarray(large.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    expected, _ = pixels_of(tmp_path / "a.png")

    assert np.array_equal(pixels_of(large)[0], expected)
    assert np.array_equal(pixels_of(large.float() / 255)[0], expected)


MODES = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "F")


@pytest.mark.parametrize("mode", MODES)
def test_images_of_every_mode_of_pillow_are_taken(mode):
    grey = Image.fromarray((np.arange(48, dtype=np.uint8) * 5).reshape(6, 8))
    if mode == "PA":
        image = grey.convert("LA").convert("PA")
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey, np.float32) / 255)
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode not in ("L", "LA", "1", "P") else grey.convert(mode)
    assert image.mode == mode

    pixels, _ = pixels_of(image, GREY)
    if mode == "1":
        assert set(np.unique(pixels)) <= {0, 1}
    else:
        np.testing.assert_allclose(pixels[0, 0], np.asarray(grey) / 255, atol=0.02)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_of_one_to_four_channels_suit_grey_and_coloured_models(channels):
    image = np.full((6, 8, channels), 200, np.uint8)
    if channels in (2, 4):
        image[..., -1] = 255  # opaque

    for preprocessing in (GREY, PADDED):
        pixels, _ = pixels_of(image, preprocessing)
        assert pixels[0, :, 2, 2] == pytest.approx(200 / 255)
    assert np.array_equal(pixels_of(image[..., 0], GREY)[0], pixels_of(image, GREY)[0])


def test_masks_and_deep_grey_arrays_are_images(noise):
    grey = noise[0, ..., 0]

    assert np.array_equal(pixels_of(grey > 99, GREY)[0][0, 0], grey > 99)
    assert np.array_equal(pixels_of(grey.astype(np.uint16) * 257, GREY)[0], pixels_of(grey, GREY)[0])


def test_tensors_of_half_precision_are_images():
    half = torch.rand(1, 6, 8).bfloat16()

    assert np.array_equal(pixels_of(half, GREY)[0][0], half.float().numpy())


def test_a_run_reads_images_at_its_size_channels_fit_and_padding(noise):
    dataset = DatasetConfig(name="folder", root="x", image_size=[12, 8], channels=1, pad=1, fit="crop")
    same = Preprocessing(shape=(1, 12, 8), fit="crop", pad=1)

    assert np.array_equal(read_images(noise, dataset).numpy(), pixels_of(noise, same)[0])
    assert read_images([], dataset).shape == (0, 1, 14, 10)


def test_images_of_the_caller_stay_as_they_were(tmp_path, noise):
    Image.fromarray(noise[0]).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        pixels_of(image, GREY)
        assert (image.mode, image.size) == ("RGB", (8, 6))


def test_transparent_pixels_lie_on_white_as_in_files(tmp_path):
    image = np.zeros((6, 8, 4), np.uint8)
    Image.fromarray(image, "RGBA").save(tmp_path / "a.png")

    assert pixels_of(image)[0][0, :, 2, 2] == pytest.approx(1)
    assert np.array_equal(pixels_of(image)[0], pixels_of(tmp_path / "a.png")[0])


def test_models_of_many_channels_take_arrays_of_as_many():
    many = Preprocessing(shape=(4, 6, 8), fit="letterbox", pad=0)
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)

    assert np.array_equal(pixels_of(image, many)[0][0], image.transpose(2, 0, 1) / np.float32(255))
    with pytest.raises(UndecodableImage, match="image 0 has 3 channels, where 4 are expected"):
        pixels_of(image[..., :3], many)


def test_a_photo_is_turned_upright_opened_or_not(tmp_path):
    image, exif = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)), Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "a.png", exif=exif)
    upside_down = np.asarray(image)[::-1, ::-1] / 255

    for photo in (tmp_path / "a.png", Image.open(tmp_path / "a.png")):
        np.testing.assert_allclose(pixels_of(photo, GREY)[0][0, 0], upside_down, atol=1e-6)


def test_a_folder_is_searched_deeply_in_natural_order_without_hidden_files(tmp_path):
    for name in ("10.png", "2.jpg", "deeper/1.BMP", ".hidden/x.png", "._2.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deeper" / "circle").symlink_to(tmp_path)

    found = [path.relative_to(tmp_path).as_posix() for path in flattened(tmp_path)]

    assert found == ["2.jpg", "10.png", "deeper/1.BMP"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_batches_keep_the_order_whatever_their_size(noise, size):
    batches = list(image_batches(noise, PADDED, size=size))

    assert [len(batch.pixels) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), pixels_of(noise)[0])


def test_no_images_are_no_batches():
    assert list(image_batches([], PADDED, size=4)) == []


def test_a_generator_is_read_no_further_than_a_batch_ahead(noise):
    taken = []

    def images():
        for number in range(100):
            taken.append(number)
            yield noise[0]

    next(image_batches(images(), PADDED, size=4))
    assert len(taken) == 8


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (3, TypeError, "images must be paths, .* but got int"),
        ([3.5], TypeError, "got float"),
        ({"a": 1}, TypeError, "got dict"),
        (None, TypeError, "got NoneType"),
        (np.zeros((6, 8), np.int64), UndecodableImage, "image 0 holds int64, where uint8, or floating-point"),
        (np.zeros((6, 8, 3), np.uint16), UndecodableImage, "holds uint16"),
        (np.full((6, 8), 7.0), UndecodableImage, "image 0 has values from 7 to 7, where 0 to 1 is expected; divide by"),
        (torch.full((3, 6, 8), -0.1), UndecodableImage, "from -0.1 to -0.1"),
        (torch.full((3, 6, 8), torch.nan), UndecodableImage, "from nan to nan"),
        (np.zeros(5, np.uint8), UndecodableImage, r"image 0 holds uint8 of shape \(5,\)"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), UndecodableImage, "of shape"),
        (np.zeros((0, 8), np.uint8), UndecodableImage, "image 0 has no pixels"),
        (np.zeros((6, 8, 5), np.uint8), UndecodableImage, "image 0 has 5 channels, where 3 are expected"),
        (b"no image", UndecodableImage, "image 0 is none of JPEG"),
        ("missing.png", UndecodableImage, "missing.png does not exist"),
        ([np.zeros((6, 8, 3), np.uint8), b""], UndecodableImage, "image 1 is none of .* it is empty"),
    ],
)
def test_what_is_no_image_is_rejected_with_its_position(image, error, message):
    with pytest.raises(error, match=message):
        pixels_of(image)


def test_a_folder_without_images_is_rejected(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="expected a folder of images, but it contains none"):
        pixels_of(tmp_path)


def test_a_file_that_is_cut_off_is_rejected_by_name(tmp_path, noise):
    Image.fromarray(noise[0]).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:80])

    with pytest.raises(UndecodableImage, match=r"a\.png is damaged or cut off"):
        pixels_of(tmp_path / "a.png")
    with pytest.raises(UndecodableImage, match="image 0 is damaged or cut off"):
        pixels_of(Image.open(tmp_path / "a.png"))


def test_a_path_keeps_what_the_user_wrote(tmp_path, noise, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise[0]).save("a.png")

    assert pixels_of("a.png")[1] == [Path("a.png")]
