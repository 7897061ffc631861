"""Checkpoints of earlier versions load and compute what they computed then, or are recognised."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import triptych
from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.errors import CheckpointError
from triptych.training.checkpoints.resuming import resumption

FILES = Path(__file__).parent / "files"
WRITTEN_BY_0_1 = FILES / "digits_of_version_0_1.ckpt"
"""Two epochs of a tiny model on the digits, the second one averaged."""
STRIDED = FILES / "digits_of_version_0.ckpt"
"""A model of the design before, with strided convolutions."""

EMBEDDINGS = [
    [0.11982, 0.74131, 0.50019, -0.43118],
    [-0.68587, 0.25251, 0.05366, -0.6804],
    [0.5223, 0.10742, 0.41535, -0.73699],
]
"""Of the first three test images, as the version that wrote the checkpoint computed them."""


@pytest.fixture(scope="module")
def images(digits: ImageData) -> Tensor:
    return digits.test.images[:3].float() / 255


def test_a_lightning_module_loads(images: Tensor) -> None:
    module = triptych.load_lightning_model(WRITTEN_BY_0_1)

    with torch.no_grad():
        embeddings = module.model.embed(images)
    assert torch.allclose(embeddings, torch.tensor(EMBEDDINGS), atol=1e-4)


def test_a_model_loads(images: Tensor) -> None:
    model, checkpoint = triptych.load_model(WRITTEN_BY_0_1)

    with torch.no_grad():
        embeddings = model.embed(images)
    assert torch.allclose(embeddings, torch.tensor(EMBEDDINGS), atol=1e-4)
    assert checkpoint["hyper_parameters"]["config"]["training"]["loss_balancing"] == "fixed"


@pytest.mark.parametrize("load", [triptych.load, triptych.load_model, triptych.load_lightning_model])
def test_a_model_of_the_design_before_is_recognised(load: Callable[[Path], object]) -> None:
    with pytest.raises(CheckpointError, match=r"expected .* design.*, got .* strided.*\. Train it again .*"):
        load(STRIDED)


def test_a_legacy_file_of_the_design_before_is_recognised_by_its_weights(tmp_path: Path) -> None:
    weights = torch.load(STRIDED, weights_only=True)["state_dict"]
    sizes = {"patch_size": 4, "embed_dim": 8, "num_heads": 2, "latent_dim": 4, "embedding_dim": 4, "decoder_dim": 4}
    torch.save({"state_dict": weights, "config": {"dataset": {"name": "digits"}, "model": sizes}}, tmp_path / "a.pth")

    with pytest.raises(CheckpointError, match="strided"):
        triptych.load_model(tmp_path / "a.pth")


def test_a_run_of_the_design_before_is_not_resumed(tiny_config: Callable[..., RunConfig], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="strided"):
        resumption(tiny_config(), output=tmp_path, path=STRIDED)
