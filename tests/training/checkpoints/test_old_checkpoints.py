"""Checkpoints of earlier versions load, and the model computes what it computed then."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import triptych
from triptych.data.images import ImageData

OLD = Path(__file__).parent / "files" / "digits_of_version_0.ckpt"
"""Two epochs of a tiny model on the digits, written before the package was divided into rooms."""

EMBEDDINGS = [
    [-0.02156, -0.45918, 0.54229, 0.70329],
    [-0.03778, 0.35459, -0.46076, 0.81274],
    [0.19582, -0.1557, 0.82732, 0.50294],
]
"""Of the first three test images, as the version that wrote the checkpoint computed them."""


@pytest.fixture(scope="module")
def images(digits: ImageData) -> Tensor:
    return digits.test.images[:3].float() / 255


def test_a_lightning_module_loads(images: Tensor) -> None:
    module = triptych.load_lightning_model(OLD)

    with torch.no_grad():
        embeddings = module.model.embed(images)
    assert torch.allclose(embeddings, torch.tensor(EMBEDDINGS), atol=1e-4)


def test_a_model_loads(images: Tensor) -> None:
    model, checkpoint = triptych.load_model(OLD)

    with torch.no_grad():
        embeddings = model.embed(images)
    assert torch.allclose(embeddings, torch.tensor(EMBEDDINGS), atol=1e-4)
    assert checkpoint["hyper_parameters"]["config"]["training"]["loss_balancing"] == "fixed"
