"""What a reader of a report wants to know of the run: what the model is, what it saw, and where that was."""

from collections.abc import Mapping
from typing import Any

from triptych.data.module import ImageDataModule
from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Model

ASKED = {
    "test": "then asked about {count} test images that it had never seen",
    "val": "then asked about {count} validation images, by which its best epoch was chosen: expect less of new ones",
    "train": "then asked about the {count} images that it had learned from: this is what it remembers, not what it can",
}
"""What a reader has to know of each split."""


def lead(model: Model, data: ImageDataModule, evaluation: Evaluation) -> str:
    """Tell in a sentence what was done."""
    asked = ASKED[evaluation.split_name].format(count=f"{len(evaluation.split):,}")
    return (
        f"A transformer with {_parameters(model):,} parameters learned from {len(data.train):,} images of "
        f"{len(data.classes)} classes, and was {asked}."
    )


def run_facts(
    model: Model, data: ImageDataModule, record: Mapping[str, Any], *, checkpoint: str
) -> list[tuple[str, str]]:
    """List names and values.

    Args:
        model: The model.
        data: The images of its run.
        record: What training wrote into metrics.json; empty where that is not at hand.
        checkpoint: The name of the file that the model was loaded from.
    """
    channels, height, width = data.config.dataset.image_shape
    facts = {
        "Checkpoint": checkpoint,
        "Model": f"{type(model).__name__}, {_parameters(model):,} parameters",
        "Images": f"{height}x{width}x{channels}",
        "Training, validation, test": f"{len(data.train):,}, {len(data.validation):,}, {len(data.test):,} images",
        "Seed": str(data.config.training.seed),
    }
    if "epochs" in record:
        facts["Epochs"] = str(record["epochs"])
    if "train_seconds" in record:
        facts["Time in training"] = _duration(record["train_seconds"])
    facts |= {name.replace("_", " ").capitalize(): str(value) for name, value in record.get("environment", {}).items()}
    return list(facts.items())


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
