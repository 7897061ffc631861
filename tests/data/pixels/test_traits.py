"""What a data set's images have in common, and what a run makes of it: channels, white level, transparency."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.config.schema import RunConfig
from triptych.data.builder import decode_listing, open_images
from triptych.data.pixels.traits import traits_of, usual_channels, white_level
from triptych.errors import DataError

RANDOM = np.random.default_rng(0)


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


def deep(folder: Path, bits: int, *, count: int = 12) -> Path:
    """Write grey images of so many bits, in 16-bit files, of two classes."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            values = RANDOM.integers(0, 2**bits, (9, 9)).astype(np.uint16)
            values[0, 0] = 2**bits - 1
            Image.fromarray(values).save(folder / name / f"{number}.png")
    return folder


def config(root: Path, **dataset: object) -> RunConfig:
    return RunConfig.model_validate(
        {"dataset": {"name": "folder", "root": str(root), "image_size": 9, **dataset}, "model": {"patch_size": 3}}
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(("bits", "level"), [(8, 255), (10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_the_range_of_16_bit_files_is_found_used_and_reported(tmp_path, bits, level):
    opened = open_images(config(deep(tmp_path / "photos", bits)))
    assert opened.config.dataset.white_level == level
    assert opened.images.train.images[:].unique().numel() > 200
    assert opened.images.train.images[:].max() == 255
    assert any(f"{level:,} is used as white (dataset.white_level)" in note for note in opened.images.notes)


def test_a_white_level_of_the_config_overrules(tmp_path):
    opened = open_images(config(deep(tmp_path / "photos", 12), white_level=65535, channels=1))
    assert opened.images.train.images[:].max() == 16
    assert opened.images.notes == ()


def test_one_bright_image_among_dark_ones_sets_the_range_of_all(tmp_path):
    deep(tmp_path / "photos", 12)
    Image.fromarray(np.full((9, 9), 60_000, np.uint16)).save(tmp_path / "photos" / "b" / "11.png")
    assert white_level(sorted((tmp_path / "photos").rglob("*.png"))) == (65535, 60_000)


def test_images_of_8_bits_have_no_range_to_find(tmp_path):
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    traits = traits_of([stream.getvalue()])
    assert (traits.deep, traits.deep_colours, traits.transparent) == (0, 0, 0)


@pytest.mark.parametrize(("background", "shade"), [("white", 255), ("black", 0), ([9, 9, 9], 9)])
def test_transparent_pixels_show_the_background_and_are_reported(tmp_path, background, shade):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGBA", (9, 9), (number, 0, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    opened = open_images(config(tmp_path / "photos", background=background))
    assert opened.images.train.images[:].unique().tolist() == [shade]
    (note,) = opened.images.notes
    assert note.startswith("20 of 20 images looked at have transparent pixels, which show dataset.background")


def test_transparent_pixels_are_reported_where_the_config_sets_all_that_images_decide(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            shape = (9, 9, 4) if number < 4 else (9, 9, 3)
            pixels = np.full(shape, 7 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (note,) = open_images(config(tmp_path / "photos", channels=3, white_level=65535)).images.notes
    assert note.startswith("8 of 20 images looked at have transparent pixels, which show dataset.background (white)")


def test_images_are_not_decoded_for_their_channels_where_these_are_known(monkeypatch):
    monkeypatch.setattr("triptych.data.pixels.traits.looks_grey", lambda _: pytest.fail("decoded"))
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    assert traits_of([stream.getvalue()], channels=3).channels == 3


def test_floating_point_images_have_no_range_to_find(tmp_path):
    for number in range(4):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
        Image.fromarray(pixels).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.tif")
    found = decode_listing(config(tmp_path / "photos"))
    assert found.config.dataset.white_level == 65535
    assert not any("16 bits" in note for note in found.listing.notes)
    assert int(found.decoded.images[:].max()) == 255
