"""What a reader of a report wants to know of the run: what the model is, what it saw, and where that was."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.data.module import ImageDataModule
from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Model
from triptych.evaluation.report.pictures import Picture, picture
from triptych.visualisation import curves_figure

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


@dataclass(frozen=True)
class Finding:
    """One thing that was wrong.

    Attributes:
        when: In which epochs, in words.
        what: The guard's own line, with cause and remedy.
    """

    when: str
    what: str


def findings(record: Mapping[str, Any]) -> list[Finding] | None:
    """Tell what the guard has found: nothing where all was well, None where nobody watched.

    Args:
        record: The run's metrics.json, whose `diagnoses` the guard has written; empty where it is not at hand.

    Example:
        >>> findings({"diagnoses": [{"epoch": 1, "last_epoch": 3, "what": "embeddings have collapsed"}]})
        [Finding(when='Epochs 1 to 3', what='embeddings have collapsed')]
    """
    if "diagnoses" not in record:
        return None
    found = []
    for one in record["diagnoses"]:
        first, last = one["epoch"], one["last_epoch"]
        found.append(Finding(f"Epoch {first}" if first == last else f"Epochs {first} to {last}", one["what"]))
    return found


MOST_POINTS = 2000
"""Of a curve; a longer one is thinned by TensorBoard's reader, which keeps its last point."""

SERIES = {"train": "training", "val": "validation"}

Curve = tuple[list[int], list[float]]
"""Steps, ascending, and values."""


def curves_picture(folder: Path | None) -> Picture | None:
    """Draw the curves in a run's version folder; None where there are none."""
    curves = learning_curves(folder)
    if not curves:
        return None
    return picture(
        "curves",
        curves_figure(curves, title=""),
        title="Learning curves",
        caption="Training is measured batch by batch, on augmented images and with noise in the latent; validation "
        "after every epoch, without either, and so it may look better. Where training goes on improving and validation "
        "turns, the model has begun to learn by heart.",
        alt=f"Curves of {', '.join(curves)} over the steps of training.",
    )


def learning_curves(folder: Path | None) -> dict[str, dict[str, Curve]]:
    """Read the curves of training and validation from a run's version folder.

    Args:
        folder: The version folder; None where there is none.

    Returns:
        By metric, in the order in which training logged them, and by "training" or "validation", a curve. Empty where
        the run kept no curves.
    """
    if folder is None or not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={SCALARS: MOST_POINTS})
    events.Reload()
    curves: dict[str, dict[str, Curve]] = {}
    for tag in events.Tags()[SCALARS]:
        if match := re.fullmatch(r"(train|val)/(.+)", tag):
            # A run that was resumed may have logged a step twice: the later value is that of the weights that stayed.
            # By the clock, as the reader takes event files in the order of their names: "...9" after "...10".
            in_time = sorted(events.Scalars(tag), key=lambda event: event.wall_time)
            values = {event.step: event.value for event in in_time}
            steps = sorted(values)
            curves.setdefault(match[2], {})[SERIES[match[1]]] = (steps, [values[step] for step in steps])
    return curves
