"""The shipped recipe, for the benchmarks that time it: trained as the command trains, under a clock of theirs."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.batches.loader import Batch
from triptych.data.builder import load_dataset
from triptych.data.module import ImageDataModule
from triptych.runs.folders import new_run
from triptych.training.building import build_module
from triptych.training.hardware.machine import resolve_hardware
from triptych.training.hardware.precision import choose_precision
from triptych.training.modules import TaskModule
from triptych.training.trainer import build_callbacks, build_trainer

FLOAT32 = "training.precision=32-true"
"""The override for benchmarks that do not compare precisions."""


class Clock(Protocol):
    """Counts seconds of training; what it does at a step's end, such as evaluating, is not counted."""

    def resume(self) -> None:
        """Begin to count from now."""

    def step_done(self, images: int) -> None:
        """Note a step over so many images, and resume; may end the training by an exception."""


class Clocked(Callback):
    """Reports to a clock the steps of `Trainer.fit`; validation and saving at an epoch's end are not counted."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Count from here: the time since the last step of the epoch before went elsewhere."""
        self.clock.resume()

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: Batch | list[Tensor],
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Note the step."""
        self.clock.step_done(len(batch.label if isinstance(batch, Batch) else batch[-1]))


def shipped_config(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read a config, on the CPU and without early stopping, and quiet Lightning.

    Args:
        path: The YAML file.
        changes: `section.key=value` each, as the command's `--set` has them.
    """
    quiet_lightning()
    return load_config(path, ["training.accelerator=cpu", "training.early_stopping.enabled=false", *changes])


def settled_precision(path: Path, changes: Sequence[str] = ()) -> str:
    """Return the override that fixes the precision of a config on this machine.

    Example:
        >>> settled_precision(Path("configs/digits.yaml"), ["training.precision=32-true"])
        'training.precision=32-true'
    """
    config, data = shipped(path, changes)
    model = build_module(config, data).model
    hardware = choose_precision(resolve_hardware(config.training), config.training, model)
    return f"training.precision={hardware.precision}"


def quiet_lightning() -> None:
    """Silence Lightning's messages."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for category in (UserWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"lightning\..*")


def shipped(path: Path, changes: Sequence[str] = ()) -> tuple[RunConfig, ImageDataModule]:
    """Read a config as `shipped_config` does, and its data."""
    config = shipped_config(path, changes)
    return config, ImageDataModule(config, load_dataset(config.dataset.name, root=config.dataset.root))


def fit_shipped(
    config: RunConfig,
    data: ImageDataModule,
    *,
    module: TaskModule | None = None,
    callbacks: Sequence[Callback] = (),
    validation: float = 1.0,
) -> None:
    """Train as `triptych train` does, with its logs, checkpoints and guards, in a folder that is removed afterwards.

    Whoever calls it on a CPU has denormals flushed before anything is calculated, as the command has.

    Args:
        config: The run, with its precision chosen (float32, where it is auto).
        data: Its data.
        module: What to train; `build_module`'s where none is given.
        callbacks: More of them, which act after those of the run.
        validation: Lightning's `limit_val_batches`: the share of the validation batches, or an int for their number.
    """
    with tempfile.TemporaryDirectory() as output:
        folders, hardware = new_run(Path(output), config.dataset.name), resolve_hardware(config.training)
        own = build_callbacks(config, data, folders, Console(quiet=True), hardware)
        trainer = build_trainer(config, own, hardware)
        trainer.limit_val_batches = validation
        trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined] # undeclared by Lightning
        trainer.fit(build_module(config, data) if module is None else module, datamodule=data)
