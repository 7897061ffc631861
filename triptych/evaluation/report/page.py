"""Writes report.html: one file with all that it shows, which needs no network, and is the same for the same model."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.config.loader import dump_config
from triptych.data.module import ImageDataModule
from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Model
from triptych.evaluation.report.classification import class_rows, naming_pictures
from triptych.evaluation.report.encoder import attention_pictures, map_data
from triptych.evaluation.report.headlines import SPLIT_NAMES, comparisons, panels
from triptych.evaluation.report.history import curves_picture, findings, lead, run_facts
from triptych.evaluation.report.pictures import Picture
from triptych.evaluation.report.reconstruction import repainting_pictures
from triptych.evaluation.report.retrieval import compare_pictures
from triptych.evaluation.table import baseline_rows, figure_rows
from triptych.files import replacing
from triptych.models import MultiTaskImageTransformer
from triptych.runs.metrics_file import read_metrics
from triptych.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

CONTENTS = {
    "glance": "At a glance",
    "worth": "Worth",
    "embeddings": "Map",
    "compare": "Compare",
    "name": "Name",
    "repaint": "Repaint",
    "attention": "Attention",
    "learning": "Learning",
    "details": "Details",
}
"""The sections of the page, as its navigation calls them."""


def write_report(
    path: Path,
    model: Model,
    data: ImageDataModule,
    evaluation: Evaluation,
    pictures: Mapping[str, Sequence[Picture]],
    *,
    checkpoint: str,
    version_folder: Path | None,
) -> None:
    """Write the page about a trained model, whole or not at all.

    Args:
        path: The file.
        model: The model.
        data: The images of its run.
        evaluation: What was measured of it.
        pictures: As `report_pictures` draws them.
        checkpoint: The name of the file that the model was loaded from.
        version_folder: Where training left its curves and its metrics.json; None for a checkpoint without its run.

    Raises:
        DataError: The run's metrics.json is damaged.
    """
    record = _record(version_folder)
    embedding_map = map_data(evaluation, data.classes)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            version=__version__,
            css=_source("report.css"),
            scripts=[_source("map.js"), _source("explorer.js")],
            contents=[(name, title) for name, title in CONTENTS.items() if name != "repaint" or "repaint" in pictures],
            dataset=data.title,
            lead=lead(model, data, evaluation),
            panels=panels(evaluation),
            findings=findings(record) if data.config.training.on_collapse != "ignore" else None,
            comparisons=comparisons(evaluation.figures, evaluation.baselines, images=len(evaluation.split)),
            holdout=figure_rows(evaluation.holdout_figures),
            holdout_classes=data.holdout_classes,
            map=embedding_map,
            map_lead=_map_lead(evaluation, shown_points=len(embedding_map["x"])),
            pictures=pictures,
            classes=class_rows(evaluation.figures, data.classes),
            curves=curves_picture(version_folder),
            figures=[*figure_rows(evaluation.figures), *baseline_rows(evaluation.baselines)],
            config=dump_config(data.config),
            facts=run_facts(model, data, record, checkpoint=checkpoint),
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _record(version_folder: Path | None) -> dict[str, Any]:
    """Read what training recorded; nothing where the run is not at hand."""
    if version_folder is None or not (version_folder / "metrics.json").exists():
        return {}
    return read_metrics(version_folder / "metrics.json")


def _map_lead(evaluation: Evaluation, *, shown_points: int) -> str:
    few = shown_points < len(evaluation.split)
    whole = f"{shown_points:,} of the {len(evaluation.split):,}" if few else f"All {shown_points:,}"
    return (
        f"{whole} {SPLIT_NAMES[evaluation.split_name]} images, laid out by t-SNE: those whose embeddings are near each "
        "other lie side by side. Distances between groups mean little."
    )


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Class names are the user's: whatever is written into the page is escaped.
    environment = Environment(
        loader=PackageLoader("triptych.evaluation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["base64"] = lambda content: b64encode(content).decode()
    return environment


def _source(name: str) -> str:
    """Read a file that lies beside the template."""
    return files("triptych.evaluation").joinpath(f"pages/{name}").read_text(encoding="utf-8")


def report_pictures(model: Model, data: ImageDataModule, evaluation: Evaluation) -> dict[str, list[Picture]]:
    """Draw the pictures of a report.

    Args:
        model: The model, on any device.
        data: The images of its run.
        evaluation: What was measured of it.

    Returns:
        The pictures by section: "compare", "name", "attention", and "repaint" for a model with a decoder.
    """
    pictures = {
        "compare": compare_pictures(evaluation, data.classes),
        "name": naming_pictures(evaluation, data.classes),
        "attention": attention_pictures(model, evaluation, data.classes),
    }
    if isinstance(model, MultiTaskImageTransformer):
        pictures["repaint"] = repainting_pictures(model, evaluation, data.classes)
    return pictures
