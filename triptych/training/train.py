"""Runs a training: read data, build, train, evaluate the best epoch, draw figures, and report the output files."""

import logging
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch import nn
from torch.utils.tensorboard.summary import hparams

from triptych.artefacts.checkpoint import read_checkpoint
from triptych.artefacts.loading import load
from triptych.artefacts.model import TrainedModel
from triptych.config import dump_config
from triptych.config.combinations import flat_values
from triptych.config.schema import RunConfig
from triptych.data.builder import open_images
from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.errors import OUT_OF_MEMORY, CheckpointError, ConfigError, TrainingError, is_out_of_memory
from triptych.evaluation.measuring.losses import training_figures
from triptych.evaluation.measuring.measures import holdout_figures
from triptych.evaluation.run_pictures import draw_embeddings, draw_triplets
from triptych.files import replacing
from triptych.inspection import Severity, label_findings
from triptych.runs.folders import RunFolders, new_run
from triptych.runs.metrics_file import write_metrics
from triptych.text import terminal_text
from triptych.training.building import build_module
from triptych.training.checkpoints.resuming import Resumption
from triptych.training.hardware.compiling import choose_compilation, compiled_training
from triptych.training.hardware.machine import resolve_hardware
from triptych.training.hardware.precision import choose_precision
from triptych.training.hardware.processes import ending_together, is_first_process
from triptych.training.hardware.tuning import tuned_process
from triptych.training.modules import TaskModule
from triptych.training.reporting import announce, environment, summarise
from triptych.training.trainer import Callbacks, build_callbacks, build_trainer
from triptych.visualisation import missing_characters


@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run.

    Attributes:
        model: The model of the best epoch, as `triptych.load` returns it.
        metrics: The content of metrics.json; empty in all processes except the first.
        folders: The output folders of the run.
        best_checkpoint: The checkpoint of the best epoch.
        pictures: The pictures in the version folder.
    """

    model: TrainedModel
    metrics: dict[str, Any]
    folders: RunFolders
    best_checkpoint: Path
    pictures: tuple[Path, ...]


@tuned_process()
def train(
    config: RunConfig,
    *,
    output: str | Path = ".",
    encoder: nn.Module | None = None,
    resume: Resumption | None = None,
    console: Console | None = None,
) -> RunResult:
    """Train, evaluate the best epoch and draw the pictures.

    Args:
        config: The config of the run.
        output: The output directory.
        encoder: The user's module, if the run has one (`model.backbone: module:…`).
        resume: The saved state to resume from, in its own version folder.
        console: Output for the progress; None is silent.

    Raises:
        DataError, DownloadError: The data set cannot be read.
        CheckpointError: The saved state belongs to another run, or the classes of the images have changed.
        ConfigError: Batches cannot be formed from these images with this config.
        TrainingError: The loss became NaN or infinite, the disk is full, or the hardware or compiler is missing.
        Interruption: Ctrl-C or SIGTERM; the state is saved.
    """
    console = console if console and is_first_process() else Console(quiet=True)
    _hush_lightning()
    hardware = resolve_hardware(config.training)

    config, images = open_images(config)
    data = ImageDataModule(config, images)
    if resume:
        resume.check_classes(data.classes)
    notes = (*data.notes, *_examined(config, data))
    module = build_module(config, data, backbone=resume.backbone if resume else None, encoder=encoder)
    hardware = choose_compilation(hardware, config, data)
    hardware = choose_precision(
        hardware, config.training, module.model, begun_with=resume.precision if resume else None
    )
    folders = _claim_folders(config, Path(output), resume)
    resumed_from = resume.path if resume else None
    if resume and (changed := data.changed_since(resume.images)):
        notes = (*notes, changed)
    announce(
        console,
        config,
        images,
        data,
        module,
        hardware=hardware,
        folders=folders,
        resumed_from=f"version_{resume.version} from {resumed_from or 'the start: nothing was saved'}"
        if resume
        else "",
        notes=notes,
    )

    callbacks = build_callbacks(config, data, folders, console, hardware)
    trainer = build_trainer(config, callbacks, hardware)
    if trainer.is_global_zero:
        _write_config(config, folders, trainer)
    with ending_together(trainer):
        with compiled_training(module, data, hardware):
            _fit(trainer, module, data, callbacks, resumed_from)
        best = trainer.strategy.broadcast(callbacks.checkpoints.best)
    module.load_state_dict(read_checkpoint(best)["state_dict"])
    module.eval()
    model = load(best, device=trainer.strategy.root_device, encoder=encoder)
    if not trainer.is_global_zero:
        return RunResult(model, {}, folders, best, ())

    # After training, Lightning keeps the module on the CPU.
    module.to(trainer.strategy.root_device)
    metrics: dict[str, Any] = {
        "test": _measure(module, config, data.test, processes=hardware.processes),
        "val": _measure(module, config, data.validation, processes=hardware.processes),
        "best_checkpoint": str(best),
        "epochs": trainer.current_epoch - (callbacks.stopping.skipped if callbacks.stopping else 0),
        "train_seconds": round(callbacks.checkpoints.train_seconds, 3),
        "diagnoses": callbacks.guard.found if callbacks.guard else [],
        "environment": environment(hardware),
    }
    if len(data.holdout):
        metrics["holdout"] = holdout_figures(module.model, data.holdout, pad=config.dataset.pad)
    write_metrics(metrics, folders.version_folder / "metrics.json")
    if trainer.logger is not None:
        values = {f"test/{name}": value for name, value in metrics["test"].items()}
        trainer.logger.log_metrics(values, trainer.global_step)
        trainer.logger.finalize("success")
    pictures = _draw(config, data, module, folders, console)
    summarise(console, metrics, folders, pictures, has_curves=config.logging.tensorboard)
    return RunResult(model, metrics, folders, best, pictures)


def _fit(
    trainer: Trainer, module: TaskModule, data: ImageDataModule, callbacks: Callbacks, resumed_from: Path | None
) -> None:
    """Train.

    Raises:
        CheckpointError: The saved state cannot be restored.
        TrainingError: There is not enough memory.
    """
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resumed_from)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(OUT_OF_MEMORY) from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if resumed_from is None or callbacks.checkpoints.has_started:
            raise
        raise CheckpointError(
            f"{resumed_from}: its state cannot be restored ({type(error).__name__}: {str(error)[:200]}). Copy the file "
            "again, resume from another checkpoint, or start a new run without --resume."
        ) from error


def _examined(config: RunConfig, data: ImageDataModule) -> list[str]:
    """Return warnings from a check of the labels.

    Raises:
        ConfigError: Batches cannot be formed with this config.
    """
    findings = label_findings(config, data)
    if wrong := [finding.text for finding in findings if finding.severity is Severity.ERROR]:
        raise ConfigError("\n".join(wrong))
    return [f"{one.text} {one.remedy}" for one in findings if one.severity is Severity.WARNING]


def _claim_folders(config: RunConfig, output: Path, resume: Resumption | None) -> RunFolders:
    if resume is not None:
        return resume.folders
    if is_first_process():
        return new_run(output, config.dataset.title)
    # The other processes write nothing and need no number.
    return RunFolders(output, config.dataset.title, 0)


def _write_config(config: RunConfig, folders: RunFolders, trainer: Trainer) -> None:
    """Save the resolved config in the version folder, and in TensorBoard as hyper-parameters."""
    with replacing(folders.version_folder / "config.yaml") as temporary:
        temporary.write_text(dump_config(config))
    if isinstance(trainer.logger, TensorBoardLogger):
        trainer.logger.log_hyperparams(config.model_dump(mode="json"))
        # Lightning writes them to TensorBoard only with a value of the metric, here a false point on its curve.
        flat = flat_values(config.model_dump())
        values = {key: str(value) if value is None or isinstance(value, list) else value for key, value in flat.items()}
        metrics = {"val/accuracy": 0.0, "test/accuracy": 0.0}
        for summary in hparams(values, metrics):  # type: ignore[no-untyped-call] # PyTorch has no types for it
            trainer.logger.experiment.file_writer.add_summary(summary)


def _measure(module: TaskModule, config: RunConfig, split: Split, *, processes: int) -> dict[str, float]:
    """Return accuracy, loss and terms of the module on a split, with the batch size of all processes together."""
    return training_figures(
        module.model,
        module.loss,
        split,
        batch_size=config.dataset.batch_size * processes,
        seed=config.training.seed,
        pad=config.dataset.pad,
    )


def _draw(
    config: RunConfig, data: ImageDataModule, module: TaskModule, folders: RunFolders, console: Console
) -> tuple[Path, ...]:
    """Draw the configured pictures in the version folder, and copy the folder to the output directory.

    At this point the run is complete: a picture that cannot be drawn is reported and does not fail the run.
    """
    drawings: dict[str, Callable[[Path], None]] = {}
    if config.logging.triplet_samples:
        drawings[f"triplet_samples_{folders.dataset}.png"] = lambda path: draw_triplets(data, path)
    if config.logging.embeddings:
        settings: Mapping[str, int] = {"samples": config.logging.tsne_samples, "seed": config.training.seed}
        drawings["embeddings_tsne.png"] = lambda path: draw_embeddings(module.model, data, path, **settings)
    pictures = []
    for name, draw in drawings.items():
        try:
            draw(folders.version_folder / name)
            with replacing(folders.root / name) as temporary:
                shutil.copyfile(folders.version_folder / name, temporary)
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            console.print(f"{name} was not drawn: {reason}", highlight=False, markup=False, soft_wrap=True)
        else:
            pictures.append(folders.version_folder / name)
    if pictures and (missing := missing_characters(data.classes)):
        console.print(
            f"No installed font has the characters {terminal_text(missing)}: pictures show boxes in their place.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return tuple(pictures)


def _hush_lightning() -> None:
    """Silence Lightning's own messages."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (UserWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(lightning|torch)\..*")
