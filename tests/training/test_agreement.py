"""One checkpoint has one figure: training, its checkpoint's name, metrics.json and `evaluate` agree on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triptych import evaluate
from triptych.config.schema import RunConfig
from triptych.training.modules import TaskModule
from triptych.training.train import train

Config = Callable[..., RunConfig]

QUICK = (
    "training.epochs=2",
    "training.precision=bf16-mixed",
    "training.learning_rate=0.01",
    "logging.tensorboard=false",
)
EVERYTHING = ("model.mirror_averaging=true", "training.averaged_share=0.5", "evaluation.holdout_classes=[3,5]")


@pytest.mark.parametrize(
    "changes",
    [EVERYTHING, ("training.use_multitask_loss=false", "training.triplet_mining=random")],
    ids=["multitask", "simple"],
)
def test_training_in_bf16_reports_the_figures_that_evaluate_reports(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...]
) -> None:
    validated: list[dict[str, float]] = []
    ends = TaskModule.on_validation_epoch_end

    def recorded(module: TaskModule) -> None:
        ends(module)
        validated.append(module.validated)

    monkeypatch.setattr(TaskModule, "on_validation_epoch_end", recorded)

    result = train(tiny_config(*QUICK, *changes), output=tmp_path)

    epoch = int(result.best_checkpoint.name[len("epoch=") :][:2])
    for split in ("test", "val"):
        found = evaluate(result.best_checkpoint, split=split, report=False, output=tmp_path / split)
        reported = result.metrics[split]
        assert reported["accuracy"] == found.figures["accuracy"]
        # In bfloat16 these would differ from the second or third digit on.
        assert reported["classification"] == pytest.approx(found.figures["nll"], rel=1e-5)
        if "mse" in reported:
            assert reported["mse"] == pytest.approx(found.figures["mse"], rel=1e-5)
        if split == "val":
            latest = validated[epoch - 1]
            assert latest["accuracy"] == found.figures["accuracy"]
            assert latest["classification"] == pytest.approx(found.figures["nll"], rel=1e-5)
            assert f"val_accuracy={found.figures['accuracy']:.4f}" in result.best_checkpoint.name
        if "holdout" in result.metrics:
            assert result.metrics["holdout"]["map_at_r"] == pytest.approx(found.holdout["map_at_r"], rel=1e-6)


def test_the_model_that_training_returns_is_in_float32(tiny_config: Config, tmp_path: Path) -> None:
    result = train(tiny_config(*QUICK, "training.epochs=1"), output=tmp_path)

    assert {weight.dtype for weight in result.model.network.parameters()} == {torch.float32}
    assert not result.model.network.training
