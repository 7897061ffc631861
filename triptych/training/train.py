"""The main job, told as a story: read, build, train, test the best, draw, and say where everything is."""

import logging
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

from triptych.config import dump_config
from triptych.config.combinations import flat_values
from triptych.config.schema import RunConfig
from triptych.data.builder import open_images
from triptych.data.module import ImageDataModule
from triptych.errors import ConfigError, TrainingError
from triptych.evaluation.measures import holdout_figures
from triptych.evaluation.run_pictures import draw_embeddings, draw_triplets
from triptych.files import replacing
from triptych.inspection import Severity, label_findings
from triptych.runs.folders import RunFolders, new_run
from triptych.runs.metrics_file import write_metrics
from triptych.training.callbacks.averaged_weights import AveragedWeights
from triptych.training.callbacks.finite_losses import FiniteLosses
from triptych.training.callbacks.frozen_features import FrozenFeatures
from triptych.training.callbacks.interruption import Interruptible
from triptych.training.callbacks.progress import RunProgress
from triptych.training.callbacks.reconstructions import ReconstructionPictures
from triptych.training.checkpoints.checkpoint_io import AtomicCheckpointIO
from triptych.training.checkpoints.resuming import PrecisionRecord, Resumption
from triptych.training.checkpoints.run_checkpoints import RunCheckpoints
from triptych.training.guard.collapse_guard import CollapseGuard, found_in
from triptych.training.hardware.compiling import compiled_training, settle_compilation
from triptych.training.hardware.denormals import flushing_denormals
from triptych.training.hardware.machine import Hardware, resolve_hardware
from triptych.training.hardware.probing import settle_precision
from triptych.training.hardware.processes import ending_together, is_first_process
from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning, TaskModule
from triptych.training.reporting import announce, environment, summarise

PREPARATION_IMAGES = 10_000
"""Training images from which whitening filters and principal components are computed."""
STATISTICS_IMAGES = 4096
"""Training images on which averaged weights measure the statistics of batch normalisation."""
SAMPLE_BYTES = 2**27
"""At most so much of either: large images are fewer."""
RECONSTRUCTIONS = 16
"""Validation images that TensorBoard shows beside their reconstructions."""


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Attributes:
        metrics: The content of metrics.json.
        folders: Where the run wrote.
        best_checkpoint: The checkpoint that was tested.
        pictures: The pictures in the version folder.
    """

    metrics: dict[str, Any]
    folders: RunFolders
    best_checkpoint: Path
    pictures: tuple[Path, ...]


@flushing_denormals()
def train(
    config: RunConfig, *, output: Path, resume: Resumption | None = None, console: Console | None = None
) -> RunResult:
    """Train, test the best epoch and draw the pictures.

    Args:
        config: The run.
        output: The root of everything that is written.
        resume: The saved state to go on from, in its own version folder.
        console: Where progress is shown; silent where it is None.

    Raises:
        DataError, DownloadError: The data set cannot be read.
        CheckpointError: The saved state is not of this run.
        ConfigError: Batches cannot be formed of these images as the config asks.
        TrainingError: The loss stopped being finite, the disk is full, or hardware or compiler are missing.
        Interruption: Ctrl-C or SIGTERM; the state is saved.
    """
    console = console if console and is_first_process() else Console(quiet=True)
    _hush_lightning()
    hardware = resolve_hardware(config.training)

    config, images = open_images(config)
    data = ImageDataModule(config, images)
    notes = (*data.notes, *_examined(config, data))
    module = build_module(config, data, backbone=resume.backbone if resume else None)
    hardware = settle_compilation(hardware, module, data)
    hardware = settle_precision(hardware, module, data, begun_with=resume.precision if resume else None)
    folders = _claim_folders(config, output, resume)
    resumed_from = resume.path if resume else None
    announce(
        console,
        config,
        images,
        data,
        module,
        hardware=hardware,
        folders=folders,
        resumed_from=resumed_from,
        notes=notes,
    )

    checkpoints = RunCheckpoints(folders)
    trainer = build_trainer(config, data, checkpoints, console, hardware)
    if trainer.is_global_zero:
        _write_config(config, folders, trainer)
    with ending_together(trainer):
        with compiled_training(module, data, hardware):
            trainer.fit(module, datamodule=data, ckpt_path=resumed_from)
        best = trainer.strategy.broadcast(checkpoints.best)
        results = {stage: _evaluate(trainer, module, data, best, stage) for stage in ("test", "val")}
    metrics = {
        **results,
        "best_checkpoint": str(best),
        "epochs": trainer.current_epoch,
        "train_seconds": round(checkpoints.train_seconds, 3),
        "diagnoses": found_in(trainer),
        "environment": environment(hardware),
    }
    if not trainer.is_global_zero:
        return RunResult(metrics, folders, best, ())
    if len(data.holdout):
        metrics["holdout"] = holdout_figures(module.model, data.holdout)
    write_metrics(metrics, folders.version_folder / "metrics.json")
    pictures = _draw(config, data, module, folders)
    summarise(console, metrics, folders, pictures, has_curves=config.logging.tensorboard)
    return RunResult(metrics, folders, best, pictures)


def build_module(config: RunConfig, data: ImageDataModule, *, backbone: Mapping[str, Any] | None = None) -> TaskModule:
    """Build the Lightning module of a config: weights drawn from the seed, filters and components from the images.

    Args:
        config: The run.
        data: Its images.
        backbone: The description of its pretrained encoder, where a checkpoint with the weights will be loaded.
    """
    mean, deviation = data.pixel_statistics()
    kind = MultiTaskImageTransformerLightning if config.training.use_multitask_loss else ImageTransformerLightning
    torch.manual_seed(config.training.seed)
    module = kind(config, classes=data.classes, pixel_mean=mean, pixel_std=deviation, backbone=backbone)
    module.model.prepare(_sample(data, PREPARATION_IMAGES), seed=config.training.seed)
    return module


def build_trainer(
    config: RunConfig, data: ImageDataModule, checkpoints: RunCheckpoints, console: Console, hardware: Hardware
) -> Trainer:
    """Build Lightning's trainer with the callbacks of a run, in the order in which they act at an epoch's end.

    Raises:
        TrainingError: Lightning cannot run this combination of hardware, or not under this launcher.
    """
    training, shown, folders = config.training, config.logging, checkpoints.folders
    callbacks: list[Callback] = [FrozenFeatures(console), FiniteLosses(every_n_steps=shown.log_every_n_steps)]
    if training.averaged_share:
        images = _sample(data, STATISTICS_IMAGES)
        size = config.dataset.batch_size
        callbacks.append(AveragedWeights(share=training.averaged_share, images=images, batch_size=size))
    if training.early_stopping.enabled:
        callbacks.append(
            EarlyStopping(
                "val/accuracy",
                mode="max",
                patience=training.early_stopping.patience,
                min_delta=training.early_stopping.min_delta,
                check_on_train_epoch_end=False,
            )
        )
    if shown.tensorboard:
        callbacks.append(LearningRateMonitor("step"))
        if training.use_multitask_loss and shown.reconstruction_every:
            examples = data.validation.images[:RECONSTRUCTIONS]
            callbacks.append(ReconstructionPictures(examples, every_n_epochs=shown.reconstruction_every))
    callbacks.append(RunProgress(console))
    if training.on_collapse != "ignore":
        callbacks.append(CollapseGuard(console, stops=training.on_collapse == "stop"))
    callbacks += [PrecisionRecord(hardware.precision), checkpoints, Interruptible(checkpoints)]
    logger = TensorBoardLogger(folders.tensorboard, "experiment", version=folders.version, default_hp_metric=False)
    try:
        trainer = Trainer(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.num_nodes,
            strategy=_strategy(config, hardware),
            precision=hardware.precision,
            max_epochs=training.epochs,
            gradient_clip_val=training.gradient_clip_norm or None,
            accumulate_grad_batches=training.accumulate_gradients,
            deterministic=training.deterministic,
            log_every_n_steps=shown.log_every_n_steps,
            logger=logger if shown.tensorboard else False,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=folders.root,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        launcher = getattr(trainer.strategy, "cluster_environment", None)
        if launcher is not None:
            launcher.validate_settings(num_devices=hardware.devices, num_nodes=hardware.num_nodes)
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise TrainingError(
            "training.accelerator, devices, num_nodes, strategy, precision: expected a combination that Lightning can "
            f"run on this machine, got {hardware}. {error} Use auto where in doubt."
        ) from error
    return trainer


def _examined(config: RunConfig, data: ImageDataModule) -> list[str]:
    """Let the doctor say what labels alone tell.

    Raises:
        ConfigError: Batches cannot be formed as the config asks.
    """
    findings = label_findings(config, data)
    if wrong := [finding.text for finding in findings if finding.severity is Severity.ERROR]:
        raise ConfigError("\n".join(wrong))
    return [f"{one.text} {one.remedy}" for one in findings if one.severity is Severity.WARNING]


def _sample(data: ImageDataModule, most: int) -> Tensor:
    """Draw training images for what is measured on them: uint8 (n, C, H, W)."""
    return data.sample(min(most, SAMPLE_BYTES // prod(data.train.images.shape[1:])))


def _claim_folders(config: RunConfig, output: Path, resume: Resumption | None) -> RunFolders:
    if resume is not None:
        return RunFolders(output, config.dataset.title, resume.version)
    if is_first_process():
        return new_run(output, config.dataset.title)
    # The others write nothing and need no number.
    return RunFolders(output, config.dataset.title, 0)


def _strategy(config: RunConfig, hardware: Hardware) -> str:
    training = config.training
    if training.strategy == "auto" and hardware.processes == 1:
        return "auto"
    heads = (training.classification_weight, training.reconstruction_weight)
    weights = heads if training.use_multitask_loss else (training.classifier_weight,)
    # A head without a weight gets no gradient, for which DistributedDataParallel must be told to look.
    return "ddp" if all(weights) else "ddp_find_unused_parameters_true"


def _write_config(config: RunConfig, folders: RunFolders, trainer: Trainer) -> None:
    """Keep the resolved config in the version folder, and in TensorBoard as hyper-parameters."""
    with replacing(folders.version_folder / "config.yaml") as temporary:
        temporary.write_text(dump_config(config))
    if isinstance(trainer.logger, TensorBoardLogger):
        trainer.logger.log_hyperparams(config.model_dump(mode="json"))
        # Lightning shows them in TensorBoard only beside a value of the metric: by now, a false point on its curve.
        flat = flat_values(config.model_dump())
        values = {key: str(value) if value is None or isinstance(value, list) else value for key, value in flat.items()}
        metrics = {"val/accuracy": 0.0, "test/accuracy": 0.0}
        for summary in hparams(values, metrics):  # type: ignore[no-untyped-call] # PyTorch left it without types
            trainer.logger.experiment.file_writer.add_summary(summary)


def _evaluate(trainer: Trainer, module: TaskModule, data: ImageDataModule, best: Path, stage: str) -> dict[str, float]:
    """Return accuracy, loss and terms of the best checkpoint on a split."""
    run, size = (trainer.test, len(data.test)) if stage == "test" else (trainer.validate, len(data.validation))
    run(module, datamodule=data, ckpt_path=best, verbose=False)
    figures = {
        name.removeprefix(f"{stage}/"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(f"{stage}/")
    }
    # A share of the images, freed from the rounding of the batches' mean: what any other count of them gives.
    return {**figures, "accuracy": round(figures["accuracy"] * size) / size}


def _draw(config: RunConfig, data: ImageDataModule, module: TaskModule, folders: RunFolders) -> tuple[Path, ...]:
    """Draw what the config asks for in the version folder, and copy it to the output root."""
    pictures = []
    if config.logging.triplet_samples:
        path = folders.version_folder / f"triplet_samples_{config.dataset.title}.png"
        draw_triplets(data, path)
        pictures.append(path)
    if config.logging.embeddings:
        path = folders.version_folder / "embeddings_tsne.png"
        draw_embeddings(module.model, data, path, samples=config.logging.tsne_samples, seed=config.training.seed)
        pictures.append(path)
    for picture in pictures:
        with replacing(folders.root / picture.name) as temporary:
            shutil.copyfile(picture, temporary)
    return tuple(pictures)


def _hush_lightning() -> None:
    """Keep Lightning's own remarks away from what the run says."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (UserWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(lightning|torch)\..*")
