"""Writes report.html: one file with all that it shows, which needs no network, and is the same for the same model."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from triptych.config.loader import dump_config
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.opening import OpenedModel
from triptych.evaluation.pages import environment
from triptych.evaluation.report.classification import class_rows, classification_pictures, misclassified_images
from triptych.evaluation.report.encoder import attention_pictures, map_pictures
from triptych.evaluation.report.headlines import comparisons, panels
from triptych.evaluation.report.history import curves_picture, findings, lead, run_facts
from triptych.evaluation.report.pictures import Picture
from triptych.evaluation.report.reconstruction import reconstruction_pictures
from triptych.evaluation.report.retrieval import retrieval_pictures
from triptych.evaluation.table import baseline_rows, figure_rows, holdout_rows
from triptych.files import replacing
from triptych.models import MultiTaskImageTransformer
from triptych.runs.metrics_file import read_metrics
from triptych.version import __version__
from triptych.visualisation import distinct_names

CONTENTS = {
    "glance": "Summary",
    "worth": "Baselines",
    "embeddings": "Map",
    "compare": "Compare",
    "name": "Name",
    "repaint": "Repaint",
    "attention": "Attention",
    "learning": "Learning curves",
    "details": "Details",
}
"""The sections of the page, as its navigation names them."""

MAP = "map.html"
"""The interactive map beside the report, which `triptych.explorer` writes."""


def report_pictures(model: Model, data: ImageDataModule, evaluation: Evaluation) -> dict[str, list[Picture] | str]:
    """Draw the figures of a report.

    Returns:
        By section, "embeddings", "compare", "name", "attention", and "repaint" for a model with a decoder: its figures,
        or why they could not be drawn. The evaluation is done by then, and no figure ends it.
    """
    classes = distinct_names(data.classes)
    drawing: dict[str, Callable[[], list[Picture]]] = {
        "embeddings": lambda: map_pictures(evaluation, classes),
        "compare": lambda: retrieval_pictures(evaluation, classes),
        "name": lambda: classification_pictures(evaluation, classes),
        "attention": lambda: attention_pictures(model, evaluation, classes),
    }
    if isinstance(model, MultiTaskImageTransformer):
        drawing["repaint"] = lambda: reconstruction_pictures(model, evaluation, classes)
    return {name: _drawn(draw) for name, draw in drawing.items()}


def _drawn(draw: Callable[[], list[Picture]]) -> list[Picture] | str:
    try:
        return draw()
    except Exception as error:
        return " ".join(str(error).split())[:300] or type(error).__name__


def write_report(
    path: Path, opened: OpenedModel, evaluation: Evaluation, pictures: Mapping[str, Sequence[Picture] | str]
) -> None:
    """Write the report of a trained model atomically.

    Raises:
        DataError: The run's metrics.json is damaged.
    """
    model, data = opened.network, opened.data
    record = _record(opened.version_folder)
    curves = _drawn(lambda: [one for one in (curves_picture(opened.version_folder),) if one])
    page = (
        environment()
        .get_template("report.html")
        .render(
            version=__version__,
            css=files("triptych.evaluation").joinpath("pages/report.css").read_text(encoding="utf-8"),
            contents=[(name, title) for name, title in CONTENTS.items() if name != "repaint" or "repaint" in pictures],
            dataset=data.title,
            lead=lead(model, data, evaluation),
            panels=panels(evaluation),
            findings=findings(record) if data.config.training.on_collapse != "ignore" else None,
            comparisons=comparisons(evaluation),
            holdout=holdout_rows(evaluation.holdout),
            holdout_classes=data.holdout_classes,
            map_page=MAP,
            pictures={**pictures, "learning": curves},
            classes=class_rows(evaluation.figures, data.classes),
            misclassified=misclassified_images(evaluation, data.classes),
            split=evaluation.split_name,
            figures=[*figure_rows(evaluation.figures), *baseline_rows(evaluation.baselines.figures)],
            config=dump_config(data.config),
            facts=run_facts(model, data, record, checkpoint=opened.name),
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _record(version_folder: Path | None) -> dict[str, Any]:
    """Read the metrics.json of training; empty for a checkpoint without its run."""
    if version_folder is None or not (version_folder / "metrics.json").exists():
        return {}
    return read_metrics(version_folder / "metrics.json")
