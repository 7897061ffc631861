"""The run that a report is about: its facts, the findings of the collapse guard, and the learning curves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.report.pictures import Picture, picture
from triptych.visualisation import curves_figure

MEASURED = {
    "test": "It was measured on {count} test images that it was not trained on.",
    "val": "It was measured on {count} validation images, which chose its best epoch: the figures are optimistic.",
    "train": "It was measured on the {count} images that it was trained on: the figures do not hold for new images.",
}
"""Remarks about each split for readers."""


def lead(model: Model, data: ImageDataModule, evaluation: Evaluation) -> str:
    """Return the first sentences of the report."""
    measured = MEASURED[evaluation.split_name].format(count=f"{len(evaluation.split):,}")
    return (
        f"A model with {_parameters(model):,} parameters, trained on {len(data.train):,} images of "
        f"{len(data.classes)} classes. {measured}"
    )


def run_facts(
    model: Model, data: ImageDataModule, record: Mapping[str, Any], *, checkpoint: str
) -> list[tuple[str, str]]:
    """List names and values.

    Args:
        model: The model.
        data: The images of its run.
        record: What training wrote into metrics.json; empty where that is not available.
        checkpoint: The name of the file that the model was loaded from.
    """
    channels, height, width = data.config.dataset.image_shape
    facts = {
        "Checkpoint": checkpoint,
        "Model": f"{type(model).__name__}, {_parameters(model):,} parameters",
        "Images": f"{height}x{width}x{channels}",
        "Images in train, val, test": f"{len(data.train):,}, {len(data.validation):,}, {len(data.test):,}",
        "Seed": str(data.config.training.seed),
    }
    if "epochs" in record:
        facts["Epochs"] = str(record["epochs"])
    if "train_seconds" in record:
        facts["Training time"] = _duration(record["train_seconds"])
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
    """A finding of the collapse guard.

    Attributes:
        when: In which epochs.
        what: Cause and remedy.
    """

    when: str
    what: str


def findings(record: Mapping[str, Any]) -> list[Finding] | None:
    """Return the findings of the guard: an empty list without any, None where the guard was not active.

    Args:
        record: The run's metrics.json, with the guard's `diagnoses`; empty where there is none.

    Example:
        >>> findings({"diagnoses": [{"epoch": 1, "last_epoch": 3, "what": "embeddings have collapsed"}]})
        [Finding(when='Epochs 1 to 3', what='embeddings have collapsed')]
    """
    if "diagnoses" not in record:
        return None
    found = []
    for one in record["diagnoses"]:
        first, last = one.get("epoch"), one.get("last_epoch")
        found.append(Finding(f"Epoch {first}" if first == last else f"Epochs {first} to {last}", str(one.get("what"))))
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
        curves_figure(curves),
        title="Learning curves",
        caption="Training is measured batch by batch, on augmented images and with noise in the latent; validation "
        "after every epoch, without either, so that it may look better. Where training still improves and validation "
        "gets worse, the model overfits.",
        alt=f"Curves of {', '.join(curves)} over the steps of training.",
    )


def learning_curves(folder: Path | None) -> dict[str, dict[str, Curve]]:
    """Read the curves of training and validation from a run's version folder.

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
