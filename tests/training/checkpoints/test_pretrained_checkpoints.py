"""Checkpoints of runs on a pretrained encoder: they need neither the network nor the folder that it came from."""

import copy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triptych import ImageTransformerLightning, MultiTaskImageTransformerLightning, load_lightning_model, load_model
from triptych.artefacts.checkpoint import read_checkpoint
from triptych.config.schema import RunConfig
from triptych.errors import CheckpointError
from triptych.models import builder
from triptych.training.building import assemble
from triptych.training.callbacks import frozen_features
from triptych.training.checkpoints.resuming import resumption
from triptych.training.train import train

MODES = ("frozen", "finetune", "lora")


@pytest.fixture(autouse=True)
def _features_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_features, "features_folder", lambda: tmp_path / "cache" / "features")


@pytest.fixture
def folder(vision_model: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the model's folder, which can be thrown away."""
    shutil.copytree(vision_model("dinov2"), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def config(tiny_config: Callable[..., RunConfig], folder: Path) -> Callable[..., RunConfig]:
    changes = (f"model.backbone=hf:{folder}", "model.lora_rank=2", "training.epochs=1")
    return lambda *others: tiny_config(*changes, *others)


@pytest.fixture
def forget(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Delete the folder, and prevent any download of a model."""

    def throw_away() -> None:
        shutil.rmtree(folder)
        monkeypatch.setattr(builder, "FETCH", {})

    return throw_away


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_loads_without_the_folder_that_its_encoder_came_from(config, forget, tmp_path, mode):
    result = train(config(f"model.backbone_mode={mode}"), output=tmp_path / "run")
    images = torch.rand(4, 1, 8, 8)
    forget()

    module = load_lightning_model(result.best_checkpoint)
    model, _ = load_model(result.best_checkpoint)
    by_lightning = MultiTaskImageTransformerLightning.load_from_checkpoint(result.best_checkpoint).eval()

    assert module.model.encoder.is_frozen == (mode == "frozen")
    saved = read_checkpoint(result.best_checkpoint)["state_dict"]
    assert any("lora_" in name for name in saved) == (mode == "lora")
    assert all(torch.equal(value, saved[name]) for name, value in module.state_dict().items())
    assert torch.equal(model.embed(images), module.model.embed(images))
    assert torch.equal(by_lightning.model.embed(images), module.model.embed(images))


@pytest.mark.parametrize("mode", MODES)
def test_a_run_resumed_without_the_folder_ends_as_if_it_had_never_stopped(config, forget, tmp_path, mode):
    changes = (f"model.backbone_mode={mode}", "training.use_multitask_loss=false", "training.scheduler.name=none")
    whole = train(config(*changes, "training.epochs=2"), output=tmp_path / "whole")
    train(config(*changes), output=tmp_path / "parts")
    longer = config(*changes, "training.epochs=2")
    forget()

    train(longer, output=tmp_path / "parts", resume=resumption(longer, output=tmp_path / "parts", path=None))

    weights = [
        read_checkpoint(root / "lightning_checkpoints" / "digits" / "version_0-last.ckpt")["state_dict"]
        for root in (whole.folders.root, tmp_path / "parts")
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_what_a_fine_tuned_encoder_learned_is_in_the_checkpoint(config, folder, tmp_path):
    result = train(config("model.backbone_mode=finetune", "training.backbone_learning_rate=0.01"), output=tmp_path)
    before = builder.fetch_backbone(config().model).network.state_dict()

    after = load_lightning_model(result.best_checkpoint).model.encoder.network.state_dict()

    assert after.keys() == before.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {name for name in before if "mask_token" not in name}


def made(config: RunConfig) -> ImageTransformerLightning:
    return assemble(config, classes=tuple("0123456789"), pixel_mean=(0.3,), pixel_std=(0.4,))


@pytest.fixture
def checkpoint(config: Callable[..., RunConfig]) -> dict:
    module = made(config("training.use_multitask_loss=false"))
    return {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}


def rejected(checkpoint: dict, path: Path) -> str:
    torch.save(checkpoint, path)
    messages = []
    for load in (load_lightning_model, load_model):
        with pytest.raises(CheckpointError) as caught:
            load(path)
        messages.append(str(caught.value))
        assert len(messages[-1].splitlines()) == 1
    return " ".join(messages)


def test_a_checkpoint_without_its_encoders_description_is_rejected_without_download(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "FETCH", {})
    del checkpoint["hyper_parameters"]["backbone"]

    assert rejected(checkpoint, tmp_path / "x.ckpt").count("expected the description of its pretrained encoder") == 2


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("image_size", 3, "cannot be read"),
        ("config", {"model_type": "vit9"}, "got the type 'vit9'"),
        ("config", {"model_type": "vit", "hidden_size": "big"}, "Validation error for field 'hidden_size'"),
        ("source", "x:y", "x"),
    ],
)
def test_a_damaged_description_is_reported(checkpoint, tmp_path, key, value, expected):
    damaged = copy.deepcopy(checkpoint)
    damaged["hyper_parameters"]["backbone"][key] = value

    assert expected in rejected(damaged, tmp_path / "x.ckpt")


def test_weights_of_another_encoder_are_reported(checkpoint, tmp_path):
    damaged = copy.deepcopy(checkpoint)
    damaged["hyper_parameters"]["backbone"]["config"]["num_hidden_layers"] = 3

    assert "the weights do not fit" in rejected(damaged, tmp_path / "x.ckpt")


def test_a_missing_library_is_reported_with_the_command_that_brings_it(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    assert rejected(checkpoint, tmp_path / "x.ckpt").count("pip install 'triptych[pretrained]'") == 2


def test_a_checkpoint_of_before_there_were_pretrained_encoders_loads(tiny_config, tmp_path):
    module = made(tiny_config("training.use_multitask_loss=false"))
    parameters = {name: value for name, value in module.hparams.items() if name != "backbone"}
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": parameters}, tmp_path / "x.ckpt")
    images = torch.rand(2, 1, 8, 8)

    assert torch.equal(load_lightning_model(tmp_path / "x.ckpt").model.embed(images), module.eval().model.embed(images))
