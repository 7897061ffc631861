"""Lightning's trainer for a run: callbacks in the order of execution, logger and strategy."""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from triptych.config.schema import RunConfig
from triptych.data.module import ImageDataModule
from triptych.errors import TrainingError
from triptych.runs.folders import RunFolders
from triptych.training.building import sample
from triptych.training.callbacks.averaged_weights import AveragedWeights
from triptych.training.callbacks.early_stopping import EarlyStopping
from triptych.training.callbacks.finite_losses import FiniteLosses
from triptych.training.callbacks.frozen_features import FrozenFeatures
from triptych.training.callbacks.interruption import Interruptible
from triptych.training.callbacks.progress import RunProgress
from triptych.training.callbacks.reconstructions import ReconstructionPictures
from triptych.training.checkpoints.checkpoint_io import AtomicCheckpointIO
from triptych.training.checkpoints.run_checkpoints import RunCheckpoints
from triptych.training.guard.collapse_guard import CollapseGuard
from triptych.training.guard.signs import Task
from triptych.training.hardware.machine import Hardware

STATISTICS_IMAGES = 4096
"""Number of training images for the batch-normalisation statistics of averaged weights."""
DECAY_SHARE = 0.1
"""Share of closing epochs, in which the learning rate decreases to its final value in a run that stops early."""
RECONSTRUCTIONS = 16
"""Number of validation images with reconstructions in TensorBoard."""


@dataclass(frozen=True, eq=False)
class Callbacks:
    """The callbacks of a run; None if the config disables one."""

    features: FrozenFeatures
    finite: FiniteLosses
    average: AveragedWeights | None
    rates: LearningRateMonitor | None
    reconstructions: ReconstructionPictures | None
    progress: RunProgress
    guard: CollapseGuard | None
    checkpoints: RunCheckpoints
    interruptible: Interruptible
    stopping: EarlyStopping | None

    def in_order(self) -> list[Callback]:
        """Return the enabled callbacks: those whose state belongs in a checkpoint run before it is written."""
        return [callback for callback in vars(self).values() if callback is not None]


def build_callbacks(
    config: RunConfig, data: ImageDataModule, folders: RunFolders, console: Console, hardware: Hardware
) -> Callbacks:
    """Build the callbacks of a config."""
    training, logging = config.training, config.logging
    average = None
    if training.averaged_share:
        average = AveragedWeights(
            share=training.averaged_share,
            images=sample(data, STATISTICS_IMAGES),
            batch_size=config.dataset.batch_size,
        )
    stopping = None
    if training.early_stopping.enabled:
        stopping = EarlyStopping(
            patience=training.early_stopping.patience,
            min_delta=training.early_stopping.min_delta,
            closing_epochs=closing_epochs(config),
            console=console,
        )
    draws = logging.tensorboard and training.use_multitask_loss and logging.reconstruction_every
    checkpoints = RunCheckpoints(
        folders, average=average, record={"precision": hardware.precision, "images": data.digests()}
    )
    return Callbacks(
        features=FrozenFeatures(config, data, console),
        finite=FiniteLosses(every_n_steps=logging.log_every_n_steps),
        average=average,
        rates=LearningRateMonitor("step") if logging.tensorboard else None,
        reconstructions=ReconstructionPictures(
            data.validation.images[:RECONSTRUCTIONS], every_n_epochs=logging.reconstruction_every
        )
        if draws
        else None,
        progress=RunProgress(console),
        guard=CollapseGuard(task_of(config, data), console, stops=training.on_collapse == "stop")
        if training.on_collapse != "ignore"
        else None,
        checkpoints=checkpoints,
        interruptible=Interruptible(checkpoints),
        stopping=stopping,
    )


def build_trainer(config: RunConfig, callbacks: Callbacks, hardware: Hardware) -> Trainer:
    """Build the trainer of a run.

    Raises:
        TrainingError: Lightning does not support this combination of hardware, or not with this launcher.
    """
    training, folders = config.training, callbacks.checkpoints.folders
    logger = TensorBoardLogger(folders.tensorboard, "experiment", version=folders.version, default_hp_metric=False)
    settings: dict[str, Any] = {
        "accelerator": hardware.accelerator,
        "devices": hardware.devices,
        "num_nodes": hardware.num_nodes,
        "strategy": _strategy(config, hardware),
        "precision": hardware.precision,
    }
    try:
        trainer = Trainer(
            **settings,
            max_epochs=training.epochs,
            gradient_clip_val=training.gradient_clip_norm or None,
            accumulate_grad_batches=training.accumulate_gradients,
            deterministic=training.deterministic,
            log_every_n_steps=config.logging.log_every_n_steps,
            logger=logger if config.logging.tensorboard else False,
            callbacks=callbacks.in_order(),
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


def _strategy(config: RunConfig, hardware: Hardware) -> str:
    training = config.training
    if training.strategy == "auto" and hardware.processes == 1:
        return "auto"
    # A head whose loss has zero weight gets no gradient: DistributedDataParallel must detect such parameters.
    return "ddp" if all(training.loss_weights().values()) else "ddp_find_unused_parameters_true"


def closing_epochs(config: RunConfig) -> int:
    """Return the number of closing epochs, which early stopping must not cancel.

    These are the epochs with averaged weights, those without augmentation, and a tenth if the schedule spans the run.
    """
    training = config.training
    schedule = training.scheduler
    decays = (schedule.name == "LinearLR" and schedule.total_iters is None) or (
        schedule.name == "CosineAnnealingLR" and schedule.T_max is None
    )
    share = max(training.averaged_share, config.dataset.unaugmented_share, DECAY_SHARE if decays else 0.0)
    return ceil(training.epochs * share - 1e-9)


def task_of(config: RunConfig, data: ImageDataModule) -> Task:
    """Return the task of the run, for its collapse guard."""
    training, labels = config.training, data.validation.labels
    largest = int(labels.bincount().max()) / len(labels)
    return Task(
        num_classes=len(data.classes),
        margin=training.margin,
        mining=training.triplet_mining,
        weights=training.loss_weights(),
        is_multitask=training.use_multitask_loss,
        chance=largest + 3 * sqrt(largest * (1 - largest) / len(labels)),
    )
