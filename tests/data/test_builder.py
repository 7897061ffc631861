from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config.schema import RunConfig
from triptych.data.builder import class_names, load_dataset, open_images
from triptych.data.module import ImageDataModule
from triptych.data.pixels import cache as cache_module
from triptych.data.pixels.resizing import decode_and_fit
from triptych.errors import ConfigError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name, brightness in (("dark", 40), ("light", 200)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 50, (10 + number, 24, 3), dtype=np.uint8) + brightness
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def config(place: object, name: str = "folder", **dataset: object) -> RunConfig:
    return RunConfig.model_validate({"dataset": {"name": name, "root": str(place), "image_size": 16, **dataset}})


def test_a_known_data_set_is_read_as_it_is():
    given = RunConfig.model_validate({"dataset": {"name": "digits"}})

    opened = open_images(given)

    assert opened.config is given
    whole, divided = load_dataset("digits"), opened.images
    assert whole.validation is None
    for split in (divided.train, divided.validation):
        assert torch.equal(split.images, whole.train.images[split.positions])
    assert sorted(torch.cat([divided.train.positions, divided.validation.positions]).tolist()) == list(range(1437))
    assert torch.equal(divided.test.images, whole.test.images)


def test_a_folder_becomes_images_of_one_size_in_three_splits(photos):
    opened = open_images(config(photos))
    data = ImageDataModule(*opened)

    assert opened.config.dataset.channels == 3
    assert (data.title, data.classes) == ("photos", ("dark", "light"))
    assert data.train.images.shape == (32, 3, 16, 16)
    assert [len(split) for split in (data.validation, data.test)] == [4, 4]
    (mean, _), bright = data.pixel_statistics(), data.train.labels == 1
    pixels = data.train.images[:].float()
    assert mean == pytest.approx((pixels / 255).mean((0, 2, 3)).tolist(), abs=1e-5)
    assert pixels[bright].mean() > pixels[~bright].mean() + 100
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.anchor, data.train.images[batch.index].float() / 255)


def test_a_border_is_added_without_decoding_again(photos, monkeypatch):
    plain = ImageDataModule(*open_images(config(photos)))
    monkeypatch.setattr(cache_module, "decode_and_fit", None)

    bordered = ImageDataModule(*open_images(config(photos, pad=2)))

    assert bordered.train.images.shape == (32, 3, 20, 20)
    assert torch.equal(bordered.train.images[:][:, :, 2:-2, 2:-2], plain.train.images[:])


def test_a_second_run_decodes_nothing_and_split_seed_alone_chooses_the_test_images(photos, monkeypatch):
    first = open_images(config(photos)).images
    monkeypatch.setattr(cache_module, "decode_and_fit", None)

    again = config(photos).model_copy(update={"training": config(photos).training.model_copy(update={"seed": 5})})
    other = open_images(config(photos, split_seed=5)).images

    assert open_images(again).images.test.names == first.test.names
    assert other.test.names != first.test.names
    assert len(other.test) == len(first.test)


def test_a_table_gives_the_same_images_as_its_folder(photos, tmp_path):
    files = sorted(photos.rglob("*.png"))
    rows = [f"{file.relative_to(tmp_path).as_posix()},{file.parent.name},test" for file in files[:8]]
    rows += [f"{file.relative_to(tmp_path).as_posix()},{file.parent.name},train" for file in files[8:]]
    (tmp_path / "photos.csv").write_text("\n".join(["file,kind,split", *rows]))

    opened = open_images(config(tmp_path / "photos.csv", "table", columns={"path": "file", "label": "kind"}))

    data = opened.images
    assert (data.title, data.classes, len(data.test)) == ("photos", ("dark", "light"), 8)
    expected = [decode_and_fit(tmp_path / name, size=(16, 16), channels=3) for name in data.test.names]
    assert torch.equal(data.test.images[:], torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2))


def test_a_checkpoint_finds_the_folder_from_elsewhere(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    chosen = open_images(config("photos")).config

    monkeypatch.chdir("/")

    assert chosen.dataset.root == str(photos)
    assert len(open_images(chosen).images.train) == 32


def test_classes_are_known_before_anything_is_decoded(photos, monkeypatch):
    monkeypatch.setattr(cache_module, "decode_and_fit", None)

    chosen, classes = class_names(config(photos))

    assert (chosen.dataset.channels, classes) == (3, ("dark", "light"))


def test_colours_of_grey_images_are_not_changed(photos):
    for file in photos.rglob("*.png"):
        Image.open(file).convert("L").save(file)

    with pytest.raises(ConfigError, match=r"channels: 1.*hue"):
        open_images(config(photos, augmentation={"hue": 0.1}))


def test_reading_from_the_map_keeps_little_memory(tmp_path):
    """Anonymous memory, which the system cannot drop, grows by batches and not by images."""
    from triptych.data.pixels.mapped import MappedImages, map_pixels

    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    file, count = tmp_path / "pixels", 20_000
    with file.open("wb") as stream:
        stream.truncate(count * 3 * 64 * 64)
    images = MappedImages(map_pixels(file, shape=(3, 64, 64)), torch.randperm(count))
    before = anonymous()

    most = 0
    for start in range(0, count, 256):
        batch = images[torch.arange(start, min(start + 256, count))]
        most = max(most, anonymous() - before)
        del batch

    assert images.nbytes > 240e6
    assert most < 40e6


@pytest.mark.parametrize("root", [7, b"photos", ["photos"]], ids=["number", "bytes", "list"])
def test_a_root_that_is_no_path_is_a_type_error(root):
    with pytest.raises(TypeError, match=r"expected a path \(str or Path\) as root; got"):
        load_dataset("digits", root=root)
