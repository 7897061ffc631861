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
        self.data, self.module, self.watched = data, build_module(config, data), Watched()
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
def test_the_average_is_validated_and_kept_while_training_continues_without_it(run, accumulated):
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


def test_averaging_does_not_change_training_or_its_batch_statistics(run):
    with_average, without = run("training.averaged_share=0.5"), run("training.averaged_share=0")

    trained = torch.load(with_average.folders.last, weights_only=True)["trained_weights"]
    plain = torch.load(without.folders.last, weights_only=True)["state_dict"]
    assert any(name.endswith("running_mean") for name in trained)
    for name, value in trained.items():
        assert torch.equal(value, plain[name]), name


def test_the_averages_batch_statistics_are_means_over_batches_of_training_images(run):
    whole = run("training.averaged_share=0.5", "dataset.batch_size=50", "training.epochs=2")

    model = whole.module.model
    inputs: dict[str, list[torch.Tensor]] = {}
    for name, layer in model.encoder.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_pre_hook(
                lambda _, given, name=name: inputs.setdefault(name, []).append(given[0].transpose(0, 1).flatten(1))
            )
    found = {name: buffer.clone() for name, buffer in model.encoder.named_buffers() if ".running_" in name}
    with torch.no_grad():
        # 1,293 images in 26 batches of 49 or 50.
        for images in whole.data.sample(4096).tensor_split(26):
            model.encoder.train()(model.pixels(images.float() / 255))
    assert {len(values) for values in inputs.values()} == {26}
    assert len(found) == 2 * len(inputs) > 0
    for name, batches in inputs.items():
        means, variances = ([part(values) for values in batches] for part in (mean_of, variance_of))
        torch.testing.assert_close(found[f"{name}.running_mean"], sum(means) / 26, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[f"{name}.running_var"], sum(variances) / 26, rtol=1e-4, atol=1e-5)
    saved = torch.load(whole.folders.last, weights_only=True)["state_dict"]
    for name, value in found.items():
        assert torch.equal(saved[f"model.encoder.{name}"], value), name


def mean_of(values: torch.Tensor) -> torch.Tensor:
    return values.mean(1)


def variance_of(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean(1, keepdim=True)).square().sum(1) / (values.shape[1] - 1)


def test_a_share_of_zero_averages_nothing(run):
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
