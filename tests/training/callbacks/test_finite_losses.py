"""A loss that is not finite ends the run with the step and the term, and the last good checkpoint stays."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from triptych.config import load_config
from triptych.errors import TrainingError
from triptych.losses.builder import build_loss
from triptych.training import building
from triptych.training.callbacks.finite_losses import FiniteLosses
from triptych.training.checkpoints.checkpoint_io import read_checkpoint
from triptych.training.train import train

TERMS = ("triplet", "classification", "reconstruction", "kl")


class Spoiled(nn.Module):
    """A loss whose value is multiplied at the n-th call."""

    def __init__(self, loss: nn.Module, value: float, call: int) -> None:
        super().__init__()
        self.loss, self.value, self.left = loss, value, call
        self.inputs = loss.inputs
        for name in ("per_image", "measure"):
            if hasattr(loss, name):
                setattr(self, name, getattr(self, f"_{name}"))

    def _factor(self) -> float:
        self.left -= 1
        return self.value if self.left == 0 else 1.0

    def _per_image(self, *inputs):
        return self.loss.per_image(*inputs)

    def reduce(self, errors):
        return self.loss.reduce(errors) * self._factor()

    def _measure(self, *inputs):
        measured = self.loss.measure(*inputs)
        return measured._replace(loss=measured.loss * self._factor())

    def forward(self, *inputs):
        return self.loss(*inputs) * self._factor()


@pytest.fixture
def spoil(monkeypatch):
    """Make a term of the n-th batch (six a training epoch) something else."""

    def spoil_term(term: str, value: float, *, call: int) -> None:
        def build(config):
            loss = build_loss(config)
            loss.losses[term] = Spoiled(loss.losses[term], value, call)
            return loss

        monkeypatch.setattr(building, "build_loss", build)

    return spoil_term


def finite(path: Path) -> bool:
    return all(bool(torch.isfinite(weight).all()) for weight in read_checkpoint(path)["state_dict"].values())


@pytest.mark.parametrize("term", TERMS)
def test_the_step_and_the_term_are_named_and_the_last_good_checkpoint_is_kept(quick_yaml, tmp_path, spoil, term):
    spoil(term, float("nan"), call=3)
    with pytest.raises(TrainingError) as error:
        train(load_config(quick_yaml, ["logging.tensorboard=false"]), output=tmp_path)
    message = str(error.value)
    assert f"became NaN or infinite at step 3 (epoch 1), in {term} (nan)." in message
    assert "The last good checkpoint was kept" in message
    last = tmp_path / "lightning_checkpoints" / "digits" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 0
    assert finite(last)


def test_infinity_is_not_finite_either(quick_yaml, tmp_path, spoil):
    spoil("kl", float("inf"), call=1)
    with pytest.raises(TrainingError, match=r"at step 1 \(epoch 1\), in kl \(inf\)"):
        train(load_config(quick_yaml), output=tmp_path)


def test_a_validation_that_is_not_finite_does_not_become_a_checkpoint(quick_yaml, tmp_path, spoil):
    spoil("reconstruction", float("nan"), call=7)  # the first after the six steps of an epoch
    with pytest.raises(TrainingError, match=r"after epoch 1 \(step 6\), in reconstruction \(nan\)"):
        train(load_config(quick_yaml), output=tmp_path)
    folder = tmp_path / "lightning_checkpoints" / "digits"
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 0
    assert not list(folder.glob("epoch=*"))


def test_a_term_without_weight_does_no_harm(quick_yaml, tmp_path, spoil):
    spoil("kl", float("nan"), call=3)
    train(load_config(quick_yaml, ["training.kl_weight=0", "training.epochs=1"]), output=tmp_path)


def test_on_a_gpu_several_steps_are_checked_together():
    module = SimpleNamespace(device=torch.device("cuda"), validated={"loss": 1.0})
    trainer, callback = SimpleNamespace(global_step=0, current_epoch=2), FiniteLosses(every_n_steps=4)

    def step(loss: float, kl: float) -> None:
        trainer.global_step += 1
        module.latest = {"loss": torch.tensor(loss), "triplet": torch.tensor(0.1), "kl": torch.tensor(kl)}
        callback.on_train_batch_end(trainer, module, None, None, 0)

    for _ in range(4):
        step(1.0, 2.0)
    step(1.0, 2.0)
    step(float("inf"), 2.0)  # the weighted sum alone
    step(float("nan"), float("nan"))
    with pytest.raises(TrainingError, match=r"at step 6 \(epoch 3\), in loss \(inf\)"):
        step(1.0, 2.0)
    step(1.0, 2.0)
    step(float("nan"), float("nan"))
    with pytest.raises(TrainingError, match=r"at step 10 \(epoch 3\), in kl \(nan\)"):
        callback.on_train_epoch_end(trainer, module)


def test_a_rate_far_too_high_ends_the_real_command_with_a_message(command, quick_yaml, tmp_path):
    start = ("train", "--config", quick_yaml, "--output", tmp_path, "--set", "training.epochs=4")
    rates = ("--set", "training.learning_rate=1e30", "--set", "training.muon_learning_rate=1e30")
    printed = command(*start, *rates).ends(2)
    assert "became NaN or infinite" in printed
    assert "step" in printed
    assert "Traceback" not in printed
    last = tmp_path / "lightning_checkpoints" / "digits" / "last.ckpt"
    assert finite(last)
    assert json.loads((tmp_path / "img_tasks/digits/experiment/version_0/checkpoints.json").read_text())["last"]
