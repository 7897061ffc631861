from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.runs.folders import new_run
from triptych.training.building import build_module
from triptych.training.hardware.machine import Hardware
from triptych.training.trainer import build_callbacks, build_trainer

# Said where the trainer is used without `train`, which keeps such remarks away from people.
pytestmark = pytest.mark.filterwarnings("ignore:You called `self.log", "ignore:.*LeafSpec")

Weights = dict[str, torch.Tensor]


def weights_of(module: LightningModule) -> Weights:
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


def assert_same(expected: Weights, got: Weights) -> None:
    for name, weight in expected.items():
        torch.testing.assert_close(got[name], weight, rtol=1e-5, atol=1e-7, msg=name)


class Watched(Callback):
    """Notes the weights after every step and while the run is validated."""

    def __init__(self) -> None:
        self.trained: list[Weights] = []
        self.validated: list[Weights] = []
        self.after_validation: list[Weights] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step > len(self.trained):
            self.trained.append(weights_of(pl_module))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(weights_of(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_validation.append(weights_of(pl_module))


class Run:
    """A finished run, whose weights were watched."""

    def __init__(self, config: RunConfig, digits: ImageData, output: Path, *, going_on: Path | None = None) -> None:
        data = ImageDataModule(config, digits)
        self.module, self.watched = build_module(config, data), Watched()
        self.folders = new_run(output, "digits")
        hardware = Hardware("cpu", 1, 1, "32-true")
        callbacks = build_callbacks(config, data, self.folders, Console(quiet=True), hardware)
        trainer = build_trainer(config, callbacks, hardware)
        trainer.callbacks.append(self.watched)
        trainer.fit(self.module, datamodule=data, ckpt_path=going_on)
        self.steps_per_epoch = len(self.watched.trained) // config.training.epochs

    def averages(self, first_step: int) -> list[Weights]:
        """The averages after every step from the first one on, by hand."""
        averaged = self.watched.trained[first_step:]
        return [
            {name: torch.stack([one[name] for one in averaged[:count]]).mean(dim=0) for name in averaged[0]}
            for count in range(1, len(averaged) + 1)
        ]


@pytest.fixture
def run(tiny_config: Callable[..., RunConfig], digits: ImageData, tmp_path: Path) -> Callable[..., Run]:
    return lambda *changes, **options: Run(
        tiny_config("logging.tensorboard=false", *changes), digits, tmp_path, **options
    )


@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_average_is_validated_and_kept_while_training_goes_on_without_it(run, accumulated):
    whole = run("training.averaged_share=0.5", f"training.accumulate_gradients={accumulated}")

    trained, steps = whole.watched.trained, whole.steps_per_epoch
    averages = whole.averages(first_step=len(trained) - round(len(trained) / 2))
    before_any, *later = whole.watched.validated
    assert_same(trained[steps - 1], before_any)
    assert_same(averages[-1 - steps], later[0])
    assert_same(averages[-1], later[1])
    for epoch, weights in enumerate(whole.watched.after_validation, start=1):
        assert_same(trained[epoch * steps - 1], weights)

    last = torch.load(whole.folders.last, weights_only=True)
    assert_same(averages[-1], last["state_dict"])
    assert_same(trained[-1], last["trained_weights"])
    assert_same(averages[-1], weights_of(whole.module))


def test_a_share_of_nought_averages_nothing(run):
    whole = run("training.averaged_share=0", "training.epochs=1")

    assert_same(whole.watched.trained[-1], weights_of(whole.module))
    assert "trained_weights" not in torch.load(whole.folders.last, weights_only=True)


def test_the_average_of_a_finished_run_is_forgotten_where_more_epochs_follow(run):
    first = run("training.averaged_share=0.5", "training.epochs=1")
    second = run("training.averaged_share=0.5", "training.epochs=4", going_on=first.folders.last)

    steps = first.steps_per_epoch
    in_the_second_epoch, *_ = second.watched.validated
    assert_same(second.watched.trained[-1 - 2 * steps], in_the_second_epoch)
    kept = weights_of(first.module)
    assert not all(torch.equal(kept[name], weight) for name, weight in first.watched.trained[-1].items())
