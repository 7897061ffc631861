"""The files of an evaluation for programs: the figures beside those of training, and the results of every image."""

import csv
import hashlib
from pathlib import Path

import numpy as np

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import parts
from triptych.evaluation.measuring.measured import Evaluation
from triptych.files import replacing
from triptych.runs.metrics_file import update_metrics
from triptych.runs.per_image import write_per_image
from triptych.text import csv_cell

DIGESTED_AT_ONCE = 4096
"""Number of images in memory while a digest is computed."""


def write_figures(
    folder: Path, data: ImageDataModule, evaluation: Evaluation, *, checkpoint: str, note: str = ""
) -> None:
    """Write figures and results of every image.

    They go into `metrics.json`, which keeps whatever else is there, `per_image_<split>.parquet`, and
    `misclassified_<split>.csv`, the most confident errors first.

    Args:
        folder: The output folder.
        data: The images of the run.
        evaluation: The measurements.
        checkpoint: The file name of the checkpoint, by which a later best checkpoint is distinguished from it.
        note: How the images differ from those of training; empty where they do not.

    Raises:
        DataError: The metrics.json that is there is damaged.
    """
    update_metrics(folder / "metrics.json", evaluation.metrics())
    description = {
        **evaluation.table.description,
        "dataset": data.config.dataset.title,
        "split": evaluation.split_name,
        "classes": list(data.classes),
        "holdout": list(data.holdout_classes),
        "images": images_digest(evaluation.split),
        "checkpoint": checkpoint,
        "note": note,
    }
    columns = dict(evaluation.table.columns)
    if evaluation.split.names is not None:
        columns["file"] = np.array(evaluation.split.names, dtype=object)
    write_per_image(folder / f"per_image_{evaluation.split_name}.parquet", columns, description)
    rows = [
        (evaluation.name(row), data.classes[label], data.classes[predicted], f"{confidence:.6g}")
        for row, label, predicted, confidence in misclassified(evaluation)
    ]
    target = folder / f"misclassified_{evaluation.split_name}.csv"
    with replacing(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "predicted", "confidence"))
        writer.writerows([csv_cell(cell) for cell in row] for row in rows)


def misclassified(evaluation: Evaluation) -> list[tuple[int, int, int, float]]:
    """List the misclassified images as position, label, predicted class and confidence, the most confident first."""
    columns = evaluation.table.columns
    rows = np.flatnonzero(columns["label"] != columns["prediction"])
    order = rows[np.argsort(-columns["confidence"][rows], kind="stable")].tolist()
    return [
        (row, int(columns["label"][row]), int(columns["prediction"][row]), float(columns["confidence"][row]))
        for row in order
    ]


def images_digest(split: Split) -> str:
    """Return a digest of pixels and labels, by which two tables are known to be of the very same images."""
    digest = hashlib.sha256(repr(tuple(split.images.shape)).encode())
    for part in (*parts(split.images, DIGESTED_AT_ONCE), split.labels):
        digest.update(part.cpu().contiguous().numpy().data)
    return digest.hexdigest()
