"""Models in files, as training writes them, but with random weights: a checkpoint costs no training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.artefacts.loading import load
from triptych.artefacts.model import TrainedModel
from triptych.config.schema import RunConfig
from triptych.models.builder import build_model

Content = Callable[..., dict[str, Any]]
MODEL = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "latent_dim": 4, "embedding_dim": 6, "decoder_dim": 4}
DIGITS = tuple("0123456789")
PHOTOS = {"name": "folder", "root": "photos", "image_size": [12, 16], "channels": 3}


@pytest.fixture(scope="session")
def make_checkpoint() -> Content:
    """The content of a checkpoint; weights are drawn from a seed, far enough from zero to tell images apart."""

    def make(
        *,
        multitask: bool = True,
        classes: Sequence[str] = DIGITS,
        dataset: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        config = RunConfig.model_validate(
            {
                "dataset": dataset or {"name": "digits"},
                "model": {**MODEL, **(model or {})},
                "training": {"use_multitask_loss": multitask},
            }
        )
        channels = config.dataset.image_shape[0]
        described = {
            "config": config.model_dump(mode="json"),
            "classes": list(classes),
            "pixel_mean": [0.3] * channels,
            "pixel_std": [0.4] * channels,
            "backbone": None,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = build_model(
                config, num_classes=len(classes), pixel_mean=[0.3] * channels, pixel_std=[0.4] * channels
            )
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.15)
        weights = {f"model.{name}": value for name, value in network.state_dict().items()}
        return {"state_dict": weights, "hyper_parameters": described}

    return make


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
