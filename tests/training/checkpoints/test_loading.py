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
from triptych.data.builder import load_dataset
from triptych.errors import CheckpointError
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


def test_what_is_no_checkpoint_of_training_is_rejected_with_one_message(trained, tmp_path):
    good = torch.load(trained[MultiTaskImageTransformerLightning], weights_only=True)
    parameters = good["hyper_parameters"]
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "legacy": ({"model_state_dict": {}, "config": {}}, "For a legacy .pth file use load_model"),
        "no hyper-parameters": ({"state_dict": good["state_dict"]}, "expected a checkpoint of Triptych's training"),
        "strange hyper-parameters": ({**good, "hyper_parameters": 3}, "expected a checkpoint of Triptych's training"),
        "no weights": ({"hyper_parameters": parameters}, "expected a checkpoint of Triptych's training"),
        "other weights": ({**good, "state_dict": {"a": torch.zeros(1)}}, "the weights do not fit"),
        "classes": ({**good, "hyper_parameters": {**parameters, "classes": None}}, "expected the names of its classes"),
        "a newer config": (
            {**good, "hyper_parameters": {**parameters, "config": {**parameters["config"], "new": 1}}},
            "new: Extra inputs are not permitted. Load it with the version",
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
        with pytest.raises(CheckpointError, match="was rejected"):
            load(tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match="was rejected"):
        ImageTransformerLightning.load_from_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "ran").exists()
