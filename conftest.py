"""The files that examples in docstrings read: `best.ckpt`, `photos/` and `photos.yaml`, in a folder of their own."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

MODEL = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "latent_dim": 3, "principal_components": 1,
         "embedding_dim": 6, "decoder_dim": 4}  # fmt: skip
"""A model that costs next to nothing."""
DIGITS = tuple("0123456789")
PHOTOS = {"name": "folder", "root": "photos", "image_size": 16}

Content = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def own_event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests without a browser run an event loop, although Playwright's runs in this thread to the end."""
    running = None if "playwright" in request.fixturenames else asyncio._get_running_loop()
    if running is not None:
        asyncio._set_running_loop(None)
    yield
    if running is not None:
        asyncio._set_running_loop(running)


@pytest.fixture(scope="session")
def make_checkpoint() -> Content:
    """Return the content of a checkpoint with random weights, far enough from zero that images differ."""
    import torch

    from triptych.config.schema import RunConfig
    from triptych.models.builder import build_model

    def make(
        *,
        multitask: bool = True,
        classes: Sequence[str] = DIGITS,
        dataset: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        seed: int = 0,
        encoder: torch.nn.Module | None = None,
    ) -> dict[str, Any]:
        config = RunConfig.model_validate(
            {
                "dataset": dataset or {"name": "digits"},
                "model": {**MODEL, **(model or {})},
                "training": {"use_multitask_loss": multitask},
                "logging": {"tsne_samples": 100},
            }
        )
        channels = config.dataset.image_shape[0]
        pixels = {"pixel_mean": [0.3] * channels, "pixel_std": [0.4] * channels}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = build_model(config, num_classes=len(classes), **pixels, encoder=encoder)
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.15)
        weights = {f"model.{name}": value for name, value in network.state_dict().items()}
        described = {"config": config.model_dump(mode="json"), "classes": list(classes), **pixels, "backbone": None}
        return {"state_dict": weights, "hyper_parameters": described}

    return make


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Content) -> Path:
    """Make the folder: 24 small photos of two classes, a config for them, and a model that was never trained."""
    import numpy as np
    import torch
    import yaml
    from PIL import Image

    folder = tmp_path_factory.mktemp("examples")
    noise = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        photo = folder / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(photo)
    config = {
        "dataset": {**PHOTOS, "batch_size": 8},
        "model": MODEL,
        "training": {"accelerator": "cpu", "devices": 1},
        "logging": {"tensorboard": False, "triplet_samples": False, "embeddings": False},
    }
    (folder / "photos.yaml").write_text(yaml.safe_dump(config))
    dataset = {**PHOTOS, "root": str(folder / "photos"), "channels": 3}
    torch.save(make_checkpoint(classes=("cat", "dog"), dataset=dataset), folder / "best.ckpt")
    return folder


@pytest.fixture(autouse=True)
def _examples_run_in_their_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem) and request.node.name.startswith(WITH_FOLDER):
        monkeypatch.chdir(request.getfixturevalue("example_folder"))


WITH_FOLDER = (
    *(
        "triptych.train",
        "triptych.evaluate",
        "triptych.audit",
        "triptych.examine",
        "triptych.explore",
        "triptych.suggest_config",
    ),
    *(
        "triptych.artefacts.loading",
        "triptych.artefacts.model",
        "triptych.artefacts.export.exporting",
        "triptych.artefacts.embedding.job",
        "triptych.training.checkpoints.loading",
    ),
    *("triptych.data.builder", "triptych.search.images", "triptych.serving.app"),
)
"""Docstrings whose examples read files."""
