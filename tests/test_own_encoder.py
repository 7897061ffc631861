"""A module of the user's as the encoder: it trains, is saved, and loads again when it is handed over."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import triptych
from triptych.errors import CheckpointError, ConfigError


class Small(nn.Module):
    """Images (B, C, H, W) to tokens (B, N, F), with statistics and a parameter that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 5, stride=5)
        self.norm = nn.BatchNorm2d(8)
        self.fixed = nn.Parameter(torch.ones(8), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(images)).flatten(2).transpose(1, 2) * self.fixed


@pytest.fixture(scope="module")
def encoder() -> Small:
    torch.manual_seed(0)
    return Small()


@pytest.fixture(scope="module")
def result(example_folder: Path, encoder: Small, tmp_path_factory: pytest.TempPathFactory) -> triptych.RunResult:
    config = example_folder / "photos.yaml"
    # 30 is not divided by Triptych's own patches, which the module has not.
    overrides = ["dataset.image_size=30", f"dataset.root={example_folder / 'photos'}"]
    output = tmp_path_factory.mktemp("run")
    return triptych.train(config, epochs=1, output=output, encoder=encoder, overrides=overrides, quiet=True)


def test_it_trains_and_the_module_itself_stays_as_it_was(result, encoder):
    torch.manual_seed(0)
    fresh = Small().state_dict()
    trained = result.model.network.encoder.module.state_dict()

    assert all(torch.equal(value, fresh[name]) for name, value in encoder.state_dict().items())
    assert not torch.equal(trained["convolution.weight"], fresh["convolution.weight"])
    assert torch.equal(trained["fixed"], fresh["fixed"])
    assert result.metrics["test"].keys() == result.metrics["val"].keys()


def test_it_loads_again_with_the_same_module(result, example_folder):
    photos = example_folder / "photos"
    expected = result.model.embed(photos).vectors

    again = triptych.load(result.best_checkpoint, encoder=Small(), device="cpu")
    module = triptych.load_lightning_model(result.best_checkpoint, encoder=Small())

    np.testing.assert_allclose(again.embed(photos).vectors, expected, atol=1e-5)
    pixels = triptych.read_images(photos, again.config.dataset)
    np.testing.assert_allclose(module.model.embed(pixels).detach(), expected, atol=1e-5)
    assert again.fingerprint == result.model.fingerprint


def test_without_the_module_the_message_names_it(result):
    with pytest.raises(CheckpointError, match=r"model.backbone is module:Small, .* pass it as encoder="):
        triptych.load(result.best_checkpoint)


def test_another_module_does_not_fit(result):
    with pytest.raises(CheckpointError, match="the weights do not fit"):
        triptych.load(result.best_checkpoint, encoder=nn.Sequential(nn.Flatten(), nn.Linear(2700, 8)))


def test_a_model_with_its_own_encoder_takes_no_module(example_folder):
    with pytest.raises(CheckpointError, match="expected no encoder= beside it"):
        triptych.load(example_folder / "best.ckpt", encoder=Small())


def test_a_module_that_makes_no_features_is_rejected_before_training(example_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(example_folder)
    with pytest.raises((ConfigError, ValueError), match="encoder must map images"):
        triptych.train("photos.yaml", output=tmp_path, encoder=nn.Identity(), quiet=True)
