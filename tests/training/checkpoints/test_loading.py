"""Trained models back from disk: by their own type, from every shape of file that is meant to be read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import run
import triptych
from triptych import ImageTransformerLightning, MultiTaskImageTransformerLightning, load_lightning_model, load_model
from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.known.datasets import load_dataset
from triptych.errors import CheckpointError
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.training.modules import TaskModule
from triptych.training.train import train

DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def configs(quick_yaml: Path) -> dict[type, RunConfig]:
    return {
        MultiTaskImageTransformerLightning: load_config(quick_yaml, ["training.epochs=1"]),
        ImageTransformerLightning: load_config(quick_yaml, ["training.epochs=1", "training.use_multitask_loss=false"]),
    }


@pytest.fixture(scope="module")
def trained(configs: dict[type, RunConfig], tmp_path_factory: pytest.TempPathFactory) -> dict[type, Path]:
    """The best checkpoint of a run in each mode."""
    return {
        cls: train(config, output=tmp_path_factory.mktemp("run")).best_checkpoint for cls, config in configs.items()
    }


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


KINDS = pytest.mark.parametrize("cls", [MultiTaskImageTransformerLightning, ImageTransformerLightning])


@KINDS
def test_a_checkpoint_knows_its_type_and_classifies_as_it_was_tested(trained, cls):
    module = load_lightning_model(str(trained[cls]))
    assert type(module) is cls
    assert not module.training
    assert module.classes == DIGITS
    data = load_dataset("digits")
    right = module.model.classify(data.test.images.float() / 255).argmax(1) == data.test.labels
    version = trained[cls].parents[2] / "img_tasks" / "digits" / "experiment" / "version_0"
    expected = json.loads((version / "metrics.json").read_text())["test"]["accuracy"]
    assert right.float().mean().item() == pytest.approx(expected, abs=1e-6)


@KINDS
def test_the_expected_type_is_checked(trained, cls):
    assert type(load_lightning_model(trained[cls], cls)) is cls
    assert type(load_lightning_model(trained[cls], TaskModule)) is cls
    other = next(kind for kind in trained if kind is not cls)
    with pytest.raises(CheckpointError, match=f"expected a {other.__name__}, got a {cls.__name__}"):
        load_lightning_model(trained[cls], other)


@KINDS
def test_lightning_loads_it_too_and_without_unsafe_pickles(trained, cls, images):
    path = trained[cls]
    torch.load(path, weights_only=True)
    module = cls.load_from_checkpoint(path).eval()
    assert torch.equal(module.model.embed(images), load_lightning_model(path).model.embed(images))


def test_both_loaders_come_from_the_package_and_from_the_command():
    assert run.load_lightning_model is triptych.load_lightning_model
    assert run.load_model is triptych.load_model
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        run.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        triptych.nothing  # noqa: B018


def legacy(module: TaskModule, **changes: Any) -> dict[str, Any]:
    """The dict of an older script: the weights of the model, and the sections of the YAML file."""
    return {
        "model_state_dict": module.model.state_dict(),
        "config": module.config.model_dump(mode="json"),
        **changes,
    }


@KINDS
@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("zipped", [True, False])
def test_legacy_files_are_read(trained, cls, tmp_path, images, key, prefix, zipped):
    module = load_lightning_model(trained[cls])
    weights = {prefix + name: value for name, value in module.model.state_dict().items()}
    saved = {key: weights, "config": module.config.model_dump(mode="json"), "epoch": 7}
    torch.save(saved, tmp_path / "old.pth", _use_new_zipfile_serialization=zipped)

    model, checkpoint = load_model(tmp_path / "old.pth", "cpu")

    assert type(model) is (MultiTaskImageTransformer if cls is MultiTaskImageTransformerLightning else ImageTransformer)
    assert not model.training
    assert checkpoint["epoch"] == 7
    assert torch.equal(model.embed(images), module.model.embed(images))
    assert torch.equal(model.classify(images), module.model.classify(images))


def test_a_legacy_config_needs_only_what_differs_from_the_defaults(trained, tmp_path, images):
    module = load_lightning_model(trained[MultiTaskImageTransformerLightning])
    whole = module.config.model_dump(mode="json")
    sections = {"dataset": {"name": "digits"}, "model": whole["model"]}
    torch.save(legacy(module, config=sections), tmp_path / "old.pth")
    assert torch.equal(load_model(tmp_path / "old.pth")[0].embed(images), module.model.embed(images))


def test_a_legacy_file_may_name_its_own_classes(trained, configs, tmp_path):
    cls = ImageTransformerLightning
    module = cls(configs[cls], classes=("even", "odd", "neither"), pixel_mean=(0.5,), pixel_std=(0.2,))
    torch.save(legacy(module, classes=["even", "odd", "neither"]), tmp_path / "old.pth")
    assert load_model(tmp_path / "old.pth")[0].classify(torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    torch.save(legacy(module), tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match=r"the weights do not fit .* size mismatch"):
        load_model(tmp_path / "old.pth")


@KINDS
def test_a_checkpoint_of_training_is_a_model_too(trained, cls, images):
    model, checkpoint = load_model(trained[cls], torch.device("cpu"))
    assert checkpoint["triptych_run"]["version"] == 0
    assert torch.equal(model.embed(images), load_lightning_model(trained[cls]).model.embed(images))


def test_what_is_no_model_is_refused_with_one_message(trained, tmp_path):
    module = load_lightning_model(trained[MultiTaskImageTransformerLightning])
    good, weights = legacy(module), module.model.state_dict()
    damaged_config = {**good["config"], "model": {**good["config"]["model"], "embed_dim": 17}}
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "no config": ({"model_state_dict": weights}, "got one with the keys 'model_state_dict'"),
        "no weights": ({"config": good["config"]}, "expected a dict with 'model_state_dict'"),
        "nothing": ({}, "got one with nothing in it"),
        "weights that are none": ({**good, "model_state_dict": [1, 2]}, "expected a dict with"),
        "weights that are numbers": ({**good, "model_state_dict": {"a": 1.0}}, "expected a dict with"),
        "a config that is none": ({**good, "config": [1]}, "is not one that this version reads"),
        "an impossible config": ({**good, "config": damaged_config}, "embed_dim 17 is not divisible"),
        "a missing weight": ({**good, "model_state_dict": dict(list(weights.items())[1:])}, "Missing key"),
        "another size": ({**good, "config": {"dataset": {"name": "digits"}}}, "the weights do not fit"),
        "pixel statistics of another image": ({**good, "pixel_mean": [0.1, 0.2]}, "what it says of its model"),
        "classes that are none": ({**good, "classes": 3}, "what it says of its model"),
        "hyper-parameters that are none": ({**good, "hyper_parameters": 3}, "expected a dict with"),
    }
    for name, (content, expected) in cases.items():
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(CheckpointError) as error:
            load_model(tmp_path / f"{name}.pth")
        assert expected in str(error.value), name
        assert len(str(error.value).splitlines()) == 1, name


def test_what_is_no_checkpoint_of_training_is_refused_with_one_message(trained, tmp_path):
    good = torch.load(trained[MultiTaskImageTransformerLightning], weights_only=True)
    parameters = good["hyper_parameters"]
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "legacy": ({"model_state_dict": {}, "config": {}}, "For a legacy .pth file use load_model"),
        "no hyper-parameters": ({"state_dict": good["state_dict"]}, "expected a checkpoint of Triptych's training"),
        "strange hyper-parameters": ({**good, "hyper_parameters": 3}, "expected a checkpoint of Triptych's training"),
        "no weights": ({"hyper_parameters": parameters}, "expected a checkpoint of Triptych's training"),
        "other weights": ({**good, "state_dict": {"a": torch.zeros(1)}}, "the weights do not fit"),
        "classes": ({**good, "hyper_parameters": {**parameters, "classes": None}}, "make no model"),
        "a newer config": (
            {**good, "hyper_parameters": {**parameters, "config": {**parameters["config"], "new": 1}}},
            "new: Extra inputs are not permitted. Load it with the version that wrote it",
        ),
    }
    for name, (content, expected) in cases.items():
        torch.save(content, tmp_path / f"{name}.ckpt")
        with pytest.raises(CheckpointError) as error:
            load_lightning_model(tmp_path / f"{name}.ckpt")
        assert expected in str(error.value), name
        assert len(str(error.value).splitlines()) == 1, name


class Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w')",))


def test_neither_loader_runs_the_code_in_a_file(trained, tmp_path):
    good = torch.load(trained[ImageTransformerLightning], weights_only=True)
    torch.save({**good, "optimizer_states": Code(tmp_path / "ran")}, tmp_path / "evil.ckpt")
    for load in (load_lightning_model, load_model):
        with pytest.raises(CheckpointError, match="was refused"):
            load(tmp_path / "evil.ckpt")
    with pytest.raises(Exception, match="weights_only"):
        ImageTransformerLightning.load_from_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "ran").exists()
