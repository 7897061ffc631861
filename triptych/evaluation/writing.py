"""What an evaluation leaves on disk for programs: the figures beside those of training, and every image's results."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import parts
from triptych.evaluation.evaluate import Evaluation
from triptych.runs.metrics_file import update_metrics
from triptych.runs.per_image import write_per_image

DIGESTED_AT_ONCE = 4096
"""Images that are held while a digest is taken."""


def write_figures(folder: Path, data: ImageDataModule, evaluation: Evaluation, *, checkpoint: str) -> None:
    """Write the figures into metrics.json, which keeps whatever else is there, and `per_image_<split>.parquet`.

    Args:
        folder: Where both go.
        data: The images of the run.
        evaluation: What was measured.
        checkpoint: The file name of what was measured, by which a later best checkpoint is told from it.

    Raises:
        DataError: The metrics.json that is there is damaged.
    """
    update_metrics(folder / "metrics.json", metrics_of(evaluation))
    description = {
        "dataset": data.config.dataset.title,
        "split": evaluation.split_name,
        "classes": list(data.classes),
        "holdout": list(data.holdout_classes),
        "images": images_digest(evaluation.split),
        "checkpoint": checkpoint,
    }
    columns = dict(evaluation.columns)
    if evaluation.split.names is not None:
        columns["file"] = np.array(evaluation.split.names, dtype=object)
    write_per_image(folder / f"per_image_{evaluation.split_name}.parquet", columns, description)


def metrics_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json says: the split's figures under its name, and those of classes never trained on."""
    figures = {**evaluation.figures, "baselines": evaluation.baselines}
    unseen = {"holdout": evaluation.holdout_figures} if evaluation.holdout_figures else {}
    return {evaluation.split_name: figures, **unseen}


def images_digest(split: Split) -> str:
    """Return a digest of pixels and labels, by which two tables are known to be of the very same images."""
    digest = hashlib.sha256(repr(tuple(split.images.shape)).encode())
    for part in (*parts(split.images, DIGESTED_AT_ONCE), split.labels):
        digest.update(part.cpu().contiguous().numpy().data)
    return digest.hexdigest()
