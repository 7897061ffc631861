"""Evaluates a trained model: measures it, and writes metrics, figures and the report."""

import warnings
from collections.abc import Callable
from pathlib import Path

from triptych.errors import ImageWarning
from triptych.evaluation.measuring.measured import Evaluation, measure
from triptych.evaluation.opening import OpenedModel, open_model
from triptych.evaluation.writing import write_figures
from triptych.runs.checkpoint_list import best_checkpoint
from triptych.runs.folders import RunFolders
from triptych.runs.per_image import PerImage, read_per_image
from triptych.runs.records import RunRecord


def evaluate_opened(opened: OpenedModel, *, split: str, folder: Path, report: bool = True) -> Evaluation:
    """Evaluate a trained model on the images of its run; write metrics, results of every image, and report.html.

    Args:
        opened: The model and its images.
        split: "test", "val" or "train": the images to measure on.
        folder: The output folder.
        report: Whether to draw figures and write report.html, and TensorBoard's files if the run has any. The page
            links to the map of `triptych.explorer`, which is written next to it.

    Returns:
        The measurements: `.figures["accuracy"]`, `.figures["intervals"]`, `.table.columns`, …

    Raises:
        ValueError: There is no such split.
    """
    evaluation = measure(opened.network, opened.data, split=split)
    write_figures(folder, opened.data, evaluation, checkpoint=opened.name, note=opened.note)
    if report:
        from triptych.evaluation.report import report_pictures, write_report, write_tensorboard

        pictures = report_pictures(opened.network, opened.data, evaluation)
        write_report(folder / "report.html", opened, evaluation, pictures)
        if opened.data.config.logging.tensorboard:
            write_tensorboard(folder, opened.data, evaluation, pictures)
    return evaluation


def results_per_image(
    record: RunRecord,
    split: str,
    *,
    announce: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> PerImage:
    """Return the results of a run's best checkpoint on every image of a split, for a comparison of runs.

    If there are none, or only those of an earlier checkpoint or version, the checkpoint is evaluated, and the results
    are written to the run's version folder.

    Args:
        record: The run.
        split: "train", "val" or "test".
        announce: Called with the name of a run before its evaluation, which is slow.
        warn: Called with the differences between the images and those of training, if any.

    Raises:
        CheckpointError: The run has no best checkpoint, or it cannot be read.
        DataError, DownloadError: The images cannot be read.
    """
    path = record.folders.per_image(split)
    if path.is_file():
        table = read_per_image(path)
        is_current = table.description.get("checkpoint") in (None, record.best_checkpoint)
        if is_current and table.knows_influences:
            return _with_note(table, record, warn)
    announce(record.folders.name)
    measure_run(record.folders, split)
    return _with_note(read_per_image(path), record, warn)


def _with_note(table: PerImage, record: RunRecord, warn: Callable[[str], None]) -> PerImage:
    note = table.description.get("note")
    if note and isinstance(note, str):
        warn(f"{record.folders.name}: {note}")
    return table


def measure_run(run: RunFolders, split: str) -> None:
    """Evaluate a run's best checkpoint, and write metrics and results of every image to its version folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # the file of results has the note, for every comparison
        opened = open_model(best_checkpoint(run))
    evaluation = measure(opened.network, opened.data, split=split)
    write_figures(run.version_folder, opened.data, evaluation, checkpoint=opened.name, note=opened.note)
