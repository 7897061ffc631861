"""Triptych: image embeddings from labelled images, by three tasks in one latent space. The public names live here.

The functions below are the public interface. Each imports what it needs when it is called, so that `import triptych`
is fast. Every path can be text or a `Path`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from triptych.packages import training_packages as _training_packages
from triptych.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from triptych.artefacts.embedding.job import embed_images
    from triptych.artefacts.embeddings import Embeddings, Matches, nearest
    from triptych.artefacts.export.exporting import export
    from triptych.artefacts.loading import load, load_model
    from triptych.artefacts.model import Classification, TrainedModel
    from triptych.config import load_config
    from triptych.config.loader import ConfigLike
    from triptych.config.schema import RunConfig
    from triptych.data.batches.triplets import TripletDataset
    from triptych.data.builder import read_images
    from triptych.evaluation.audit import Audit
    from triptych.evaluation.measuring.measured import Evaluation
    from triptych.explorer import Explorer
    from triptych.inspection import examine
    from triptych.inspection.suggestion import suggest_config
    from triptych.losses import BatchTripletLoss, KLDivergenceLoss, MultiTaskLoss, ReconstructionLoss, TripletLoss
    from triptych.models import ImageEncoder, ImageTransformer, MultiTaskImageTransformer
    from triptych.search.images import same
    from triptych.serving.server import serve
    from triptych.training.checkpoints.loading import load_lightning_model
    from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning
    from triptych.training.train import RunResult

PUBLIC = {
    "BatchTripletLoss": "triptych.losses",
    "Classification": "triptych.artefacts.model",
    "Embeddings": "triptych.artefacts.embeddings",
    "ImageEncoder": "triptych.models",
    "ImageTransformer": "triptych.models",
    "ImageTransformerLightning": "triptych.training.modules",
    "KLDivergenceLoss": "triptych.losses",
    "Matches": "triptych.artefacts.embeddings",
    "MultiTaskImageTransformer": "triptych.models",
    "MultiTaskImageTransformerLightning": "triptych.training.modules",
    "MultiTaskLoss": "triptych.losses",
    "ReconstructionLoss": "triptych.losses",
    "RunConfig": "triptych.config",
    "RunResult": "triptych.training.train",
    "TrainedModel": "triptych.artefacts.model",
    "TripletDataset": "triptych.data.batches.triplets",
    "TripletLoss": "triptych.losses",
    "Explorer": "triptych.explorer",
    "examine": "triptych.inspection",
    "embed_images": "triptych.artefacts.embedding.job",
    "export": "triptych.artefacts.export.exporting",
    "load": "triptych.artefacts.loading",
    "load_config": "triptych.config",
    "load_lightning_model": "triptych.training.checkpoints.loading",
    "load_model": "triptych.artefacts.loading",
    "nearest": "triptych.artefacts.embeddings",
    "read_images": "triptych.data.builder",
    "same": "triptych.search.images",
    "serve": "triptych.serving.server",
    "suggest_config": "triptych.inspection.suggestion",
}
"""Modules of the public names that are not defined in this file."""

__all__ = [
    "BatchTripletLoss",
    "Classification",
    "Embeddings",
    "Explorer",
    "ImageEncoder",
    "ImageTransformer",
    "ImageTransformerLightning",
    "KLDivergenceLoss",
    "Matches",
    "MultiTaskImageTransformer",
    "MultiTaskImageTransformerLightning",
    "MultiTaskLoss",
    "ReconstructionLoss",
    "RunConfig",
    "RunResult",
    "TrainedModel",
    "TripletDataset",
    "TripletLoss",
    "__version__",
    "audit",
    "embed_images",
    "evaluate",
    "examine",
    "explore",
    "export",
    "load",
    "load_config",
    "load_lightning_model",
    "load_model",
    "nearest",
    "read_images",
    "same",
    "serve",
    "suggest_config",
    "train",
]


def train(
    config: "ConfigLike",
    *,
    epochs: int | None = None,
    seed: int | None = None,
    output: str | Path = ".",
    encoder: "nn.Module | None" = None,
    overrides: Sequence[str] = (),
    resume: bool | str | Path = False,
    quiet: bool = False,
) -> "RunResult":
    """Train a model, measure its best epoch on the test images, and write checkpoints, metrics and pictures.

    Args:
        config: A YAML file, a mapping of the same form, or a `RunConfig`.
        epochs: Overrides `training.epochs`.
        seed: Overrides `training.seed`.
        output: The output directory.
        encoder: A module that replaces Triptych's own encoder, from standardised images (B, C, H, W) to features (B, F)
            or tokens (B, N, F). A copy of it is trained; pass the same module to `triptych.load` to load the result.
        overrides: `section.key=value` each, as the command line's `--set`.
        resume: True resumes the latest run on these images under `output`; a path resumes from that checkpoint.
        quiet: Print nothing.

    Returns:
        The trained model as `model`, the `metrics`, and the path of `best_checkpoint`.

    Raises:
        ConfigError: The config is invalid; the message lists every error.
        DataError, DownloadError: The images cannot be read.
        CheckpointError: There is nothing to resume, or it belongs to another run.
        TrainingError: The loss became NaN or infinite, the disk is full, or hardware is missing.

    Example:
        >>> result = train("photos.yaml", epochs=1, output="runs", quiet=True)
        >>> result.best_checkpoint.suffix, result.model.classes
        ('.ckpt', ('cat', 'dog'))
    """
    from triptych.config import load_config

    shorthands = [f"training.{key}={value}" for key, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    if encoder is not None:
        # Its features are not cached on disk: another module with the same weights would match them.
        shorthands += [f"model.backbone=module:{type(encoder).__name__}", "model.cache_features=false"]
    checked = load_config(config, [*overrides, *shorthands])

    from rich.console import Console

    from triptych.console import lasting_output

    with _training_packages():
        from triptych.training.checkpoints.resuming import resumption
        from triptych.training.train import train as run_training

    output = Path(output)
    saved = None
    if resume is not False:
        saved = resumption(checked, output=output, path=None if resume is True else Path(resume))
    with lasting_output():
        return run_training(
            checked, output=output, encoder=encoder, resume=saved, console=None if quiet else Console(emoji=False)
        )


def evaluate(
    model: "TrainedModel | str | Path",
    *,
    split: Literal["train", "val", "test"] = "test",
    root: str | Path | None = None,
    output: str | Path | None = None,
    report: bool = True,
) -> "Evaluation":
    """Measure a model on a split of the images of its run, beside simple baselines, as `triptych evaluate` does.

    Writes metrics.json, the results of every image, report.html and map.html, the interactive map.

    Args:
        model: The model, or the place of one, as `load` takes it.
        split: The split to evaluate on.
        root: Where the images of the run are now (`dataset.root`); None: where training found them.
        output: Where to write; None: the run's version folder, or a folder beside a checkpoint without its run.
        report: Whether to write report.html and map.html too.

    Returns:
        All measurements; `figures` contains the metrics by name.

    Raises:
        CheckpointError: There is no model at that place.
        DataError, DownloadError: The images cannot be read, or have other classes.

    Example:
        >>> sorted(evaluate("best.ckpt", split="val", output="measured", report=False).figures)[:4]
        ['accuracy', 'active_units', 'alignment', 'ami']
    """
    with _training_packages():
        from triptych.evaluation.evaluate import evaluate_opened
        from triptych.evaluation.opening import open_model
        from triptych.explorer.pages import write_map

    opened = open_model(model, root=root)
    folder = Path(output) if output else opened.folder
    evaluation = evaluate_opened(opened, split=split, folder=folder, report=report)
    if report:
        write_map(folder, opened, evaluation)
    return evaluation


def audit(
    model: "TrainedModel | str | Path",
    *,
    top: int | None = None,
    root: str | Path | None = None,
    output: str | Path | None = None,
) -> "Audit":
    """Find probable label errors, near-duplicates and outliers among all images of a model's run.

    Writes audit.html, the explorer's page with the queue of doubtful labels, and the findings as CSV files.

    Args:
        model: The model, or the place of one, as `load` takes it.
        top: Number of label errors and outliers to list; None lists the probable ones.
        root: Where the images of the run are now (`dataset.root`); None: where training found them.
        output: Where to write; None: the run's version folder, or a folder beside a checkpoint without its run.

    Raises:
        CheckpointError: There is no model at that place.
        DataError, DownloadError: The images cannot be read, or have other classes.

    Example:
        >>> found = audit("best.ckpt", top=3, output="audited")
        >>> len(found.label_issues), len(found.outlier_rows)
        (3, 3)
    """
    with _training_packages():
        from triptych.evaluation.audit import audit_opened
        from triptych.evaluation.opening import open_model
        from triptych.explorer.pages import write_audit

    opened = open_model(model, root=root)
    folder = Path(output) if output else opened.folder
    found = audit_opened(opened, folder=folder, top=top)
    write_audit(folder, opened, found)
    return found


def explore(
    model: "TrainedModel | str | Path",
    images: str | Path | None = None,
    *,
    split: Literal["train", "val", "test", "all"] = "test",
    compare: "TrainedModel | str | Path | None" = None,
    root: str | Path | None = None,
) -> "Explorer":
    """Compute a page to inspect a model's embeddings, find errors, and fix labels, as `triptych explore` does.

    Args:
        model: The model, or the place of one, as `load` takes it.
        images: A folder of images, or a table of them (CSV or Parquet); None: the images of the model's run.
        split: The images of the run that are shown.
        compare: A second model, which is shown beside the first one on the same images.
        root: Where the images of the run are now (`dataset.root`); None: where training found them.

    Returns:
        The content of the page: `save("page.html")` writes it as one file with the model inside, and `serve()` serves
            it
        on this machine and saves corrections of labels.

    Raises:
        CheckpointError: There is no model at that place.
        DataError, DownloadError: The images cannot be read, or have other classes; a library for exporting is not
            installed.

    Example:
        >>> explorer = explore("best.ckpt", split="val")
        >>> explorer.save("page.html") > 100_000
        True
        >>> sorted(explorer.payload.column("label").tolist())
        [0, 1]
    """
    from triptych.explorer import explore as open_explorer

    return open_explorer(model, images, split=split, compare=compare, root=root)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name can be anything
    if name not in PUBLIC:
        raise AttributeError(f"module 'triptych' has no attribute {name!r}")
    from importlib import import_module

    with _training_packages():
        return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
