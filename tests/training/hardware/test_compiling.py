"""`compile` takes the model where it pays or on request, and the run stays what it was."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.errors import TrainingError
from triptych.training.building import build_module
from triptych.training.checkpoints.loading import load_lightning_model
from triptych.training.checkpoints.resuming import resumption
from triptych.training.hardware import compiling
from triptych.training.hardware.compiling import choose_compilation, compiled_training
from triptych.training.hardware.machine import Hardware
from triptych.training.modules import TaskModule
from triptych.training.train import RunResult, train

Config = Callable[..., RunConfig]

CPU = Hardware("cpu", 1, 1, "32-true")
GPU = Hardware("gpu", 1, 1, "bf16-mixed")


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Compile without a compiler: graphs are traced and run as they are; return whether each was of training."""
    traced: list[bool] = []

    def run_as_it_is(graph: torch.fx.GraphModule, inputs: Any) -> torch.fx.GraphModule:
        if any(isinstance(one, torch.Tensor) and one.ndim == 4 for one in inputs):
            traced.append(torch.is_grad_enabled())
        return graph

    monkeypatch.setattr(compiling, "BACKEND", run_as_it_is)
    yield traced
    torch.compiler.reset()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretend that nothing can be compiled."""

    def reject(graph: torch.fx.GraphModule, inputs: Any) -> None:
        raise RuntimeError("No working C++ compiler found.\nMore than anybody wants to know.")

    monkeypatch.setattr(compiling, "BACKEND", reject)
    yield
    torch.compiler.reset()


def completed(config: RunConfig, digits: ImageData, hardware: Hardware) -> Hardware:
    data = ImageDataModule(config, digits)
    return choose_compilation(hardware, config, data)


def weights(result: RunResult) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(result.folders.last, weights_only=True)["state_dict"]
    return state


# What is decided


@pytest.mark.parametrize(
    ("hardware", "changes", "compiled", "reason"),
    [
        (CPU, "training.epochs=9999", False, "it rarely pays on a CPU"),
        (replace(CPU, accelerator="mps"), "training.epochs=9999", False, "it rarely pays on an Apple GPU"),
        # 1,293 images in 21 batches of 61 or 62.
        (GPU, "training.epochs=239", True, "it pays from 5,000 steps on, and the run has 5,019"),
        (GPU, "training.epochs=238", False, "it pays from 5,000 steps on, and the run has 4,998"),
        (replace(GPU, devices=2), "training.epochs=239", False, "it pays from 5,000 steps on, and the run has 2,629"),
    ],
)
def test_auto_compiles_long_runs_on_a_gpu(
    tiny_config: Config,
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    hardware: Hardware,
    changes: str,
    compiled: bool,
    reason: str,
) -> None:
    monkeypatch.setattr(compiling, "_obstacle", lambda hardware: "")

    found = completed(tiny_config(changes, "training.deterministic=false"), digits, hardware)

    assert found == replace(hardware, compiled=compiled, compile_reason=reason)


def test_auto_does_not_compile_deterministic_runs_or_on_machines_that_cannot(
    tiny_config: Config, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_obstacle", lambda hardware: "Cannot find a working triton installation")

    deterministic = completed(tiny_config("training.epochs=999"), digits, GPU)
    unable = completed(tiny_config("training.epochs=999", "training.deterministic=false"), digits, GPU)

    assert "the run is deterministic" in deterministic.compile_reason
    assert unable.compile_reason == "Cannot find a working triton installation"
    assert [deterministic.compiled, unable.compiled] == [False, False]


def test_an_explicit_choice_needs_no_reason(tiny_config: Config, digits: ImageData, graphs: list[bool]) -> None:
    assert completed(tiny_config("training.compile=true"), digits, CPU) == replace(CPU, compiled=True)
    assert completed(tiny_config("training.compile=false"), digits, GPU) == GPU


def test_a_missing_compiler_is_reported_before_the_run_begins(
    tiny_config: Config, tmp_path: Path, missing: None
) -> None:
    with pytest.raises(TrainingError) as error:
        train(tiny_config("training.compile=true"), output=tmp_path)

    message = str(error.value)
    assert message.startswith("training.compile: expected a machine on which torch.compile works")
    assert "No working C++ compiler found. Install" in message
    assert "compile: false" in message
    assert "anybody" not in message
    assert not list(tmp_path.iterdir())


# The compiled run


def test_a_compiled_run_is_the_same_run(
    tiny_config: Config, digits: ImageData, tmp_path: Path, graphs: list[bool]
) -> None:
    common = ("logging.tensorboard=false", "dataset.batch_size=256", "training.scheduler.name=none")
    plain = train(tiny_config(*common, "training.epochs=2"), output=tmp_path / "plain")
    assert not graphs

    first = tiny_config(*common, "training.epochs=1", "training.compile=true")
    compiled = train(first, output=tmp_path / "compiled")
    # Batches of 215 and 216 images, then 144 for validation; the test, of 360, is not compiled.
    assert graphs == [True, False]
    more = tiny_config(*common, "training.epochs=2", "training.compile=false")
    resume = resumption(more, output=tmp_path / "compiled", path=None)
    resumed = train(more, output=tmp_path / "compiled", resume=resume)

    assert compiled.metrics["environment"]["compiled"]
    one, other = weights(plain), weights(resumed)
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.metrics["test"] == plain.metrics["test"]
    module = load_lightning_model(resumed.folders.last)
    images = digits.test.images[:5].float() / 255
    assert torch.isfinite(module.model.embed(images)).all()


def test_batches_of_one_size_are_compiled_for_that_size(
    tiny_config: Config, digits: ImageData, monkeypatch: pytest.MonkeyPatch, graphs: list[bool]
) -> None:
    def dynamic(batch_size: int, hardware: Hardware = CPU) -> bool | None:
        config = tiny_config(f"dataset.batch_size={batch_size}")
        data = ImageDataModule(config, digits)
        module = build_module(config, data)
        requested: list[bool | None] = []
        monkeypatch.setattr(module.model, "compile", lambda **options: requested.append(options.get("dynamic")))
        with compiled_training(module, data, replace(hardware, compiled=True)):
            pass
        return requested[0]

    # 1,293 = 3 x 431
    assert dynamic(431) is None
    assert dynamic(430) is True
    assert dynamic(431, replace(CPU, devices=3)) is None
    assert dynamic(431, replace(CPU, devices=2)) is True


def test_the_model_is_as_it_was_after_training_even_when_that_fails(
    tiny_config: Config, digits: ImageData, graphs: list[bool]
) -> None:
    config = tiny_config()
    data = ImageDataModule(config, digits)
    module = build_module(config, data)

    with pytest.raises(ValueError, match="a bad step"), compiled_training(module, data, replace(CPU, compiled=True)):
        train_until_it_fails(module)
    assert len(graphs) == 1

    module.model(torch.rand(4, 1, 8, 8))
    module.eval().model(torch.rand(3, 1, 8, 8))
    assert len(graphs) == 1


def train_until_it_fails(module: TaskModule) -> None:
    module.model(torch.rand(3, 1, 8, 8))
    raise ValueError("a bad step")
