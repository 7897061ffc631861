"""A loss that is not finite ends the run with the step and the term, and the last good checkpoint stays."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from triptych.config import load_config
from triptych.errors import TrainingError
from triptych.losses import MultiTaskLoss
from triptych.training.callbacks.finite_losses import FiniteLosses
from triptych.training.checkpoints.checkpoint_io import read_checkpoint
from triptych.training.modules import MultiTaskImageTransformerLightning
from triptych.training.train import train

TERMS = ("triplet", "classification", "reconstruction", "kl")


@pytest.fixture
def spoil(monkeypatch):
    """Make a term of the n-th call of the weighted sum (one a step, and two a validation) something else."""

    def spoil_term(term: str, value: float, *, call: int) -> None:
        plain, calls = MultiTaskLoss.forward, 0

        def forward(self, *arguments, **terms):
            nonlocal calls
            calls += 1
            if calls == call:
                terms = dict(zip(TERMS, arguments, strict=False)) | terms
                arguments = ()
                terms[term] = terms[term] * value
            return plain(self, *arguments, **terms)

        monkeypatch.setattr(MultiTaskLoss, "forward", forward)

    return spoil_term


def finite(path: Path) -> bool:
    return all(bool(torch.isfinite(weight).all()) for weight in read_checkpoint(path)["state_dict"].values())


@pytest.mark.parametrize("term", TERMS)
def test_the_step_and_the_term_are_named_and_the_last_good_checkpoint_is_kept(quick_yaml, tmp_path, spoil, term):
    spoil(term, float("nan"), call=3)
    with pytest.raises(TrainingError) as error:
        train(load_config(quick_yaml, ["logging.tensorboard=false"]), output=tmp_path)
    message = str(error.value)
    assert f"stopped being finite at step 3 (epoch 1), in {term} (nan)." in message
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


def test_on_a_gpu_several_steps_are_looked_at_together(quick_yaml, monkeypatch):
    cls = MultiTaskImageTransformerLightning
    module = cls(load_config(quick_yaml), classes="0123456789", pixel_mean=[0.5], pixel_std=[0.2])
    monkeypatch.setattr(cls, "device", torch.device("cuda"))
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
    assert "finite" in printed
    assert "step" in printed
    assert "Traceback" not in printed
    last = tmp_path / "lightning_checkpoints" / "digits" / "last.ckpt"
    assert finite(last)
    assert json.loads((tmp_path / "img_tasks/digits/experiment/version_0/checkpoints.json").read_text())["last"]
