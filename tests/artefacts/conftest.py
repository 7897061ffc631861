"""Two models with random weights, and a folder of pictures to show them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.artefacts.export.exporting import export
from triptych.artefacts.loading import load
from triptych.artefacts.model import TrainedModel

Content = Callable[..., dict[str, Any]]
PHOTOS = {"name": "folder", "root": "photos", "image_size": [12, 16], "channels": 3}


@pytest.fixture(scope="session")
def digits_model(make_checkpoint: Content, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of grey images, 8x8, with random weights."""
    path = tmp_path_factory.mktemp("digits") / "model.ckpt"
    torch.save(make_checkpoint(), path)
    return load(path, device="cpu")


@pytest.fixture(scope="session")
def photos_model(make_checkpoint: Content, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of coloured images, 12x16, padded by 2, with random weights."""
    path = tmp_path_factory.mktemp("photos") / "model.ckpt"
    dataset = {**PHOTOS, "pad": 2}
    torch.save(make_checkpoint(dataset=dataset, classes=("cat", "dog", "bird")), path)
    return load(path, device="cpu")


@pytest.fixture(scope="session")
def photos_bundle(photos_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the model of coloured images."""
    return export(photos_model, tmp_path_factory.mktemp("photos_bundle") / "bundle")


@pytest.fixture(scope="session")
def digits_bundle(digits_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the model of grey images, whose encoder takes bytes, with an encoder in 8-bit integers."""
    folder = tmp_path_factory.mktemp("digits_bundle") / "bundle"
    return export(digits_model, folder, input_type="uint8", quantise_to="int8")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of images in many formats, modes and sizes."""
    from PIL import Image

    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    noise = torch.randint(0, 256, (40, 30, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)).numpy()
    colour, grey = Image.fromarray(noise[..., :3]).resize((90, 120)), Image.fromarray(noise[..., 0])
    colour.save(folder / "a.jpg", quality=95)
    colour.save(folder / "b.png")
    Image.fromarray(noise).save(folder / "c.webp", lossless=True)
    grey.save(folder / "deeper" / "d.bmp")
    colour.convert("P").save(folder / "deeper" / "e.gif")
    colour.save(folder / "deeper" / "f.tiff")
    (folder / "notes.txt").write_text("no image")
    return folder
