"""The checkpoints of a run: the best epoch, the last state, and links to both."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from triptych.errors import CheckpointError, TrainingError
from triptych.files import name_again, point_to, remove_leftovers
from triptych.runs.checkpoint_list import free_name, own_names, write_names
from triptych.runs.folders import RunFolders
from triptych.training.callbacks.averaged_weights import AveragedWeights
from triptych.training.checkpoints.state import BEST_NAME
from triptych.training.modules import TaskModule


class RunCheckpoints(Callback):
    """Saves the state of the run, keeps the best epoch, and does not change the files of other runs.

    In `lightning_checkpoints/<dataset>/`: `epoch=XX-val_accuracy=X.XXXX.ckpt` of the best epoch, counted from 1, and
    `version_N-last.ckpt`, written before the first step and after every epoch. `best.ckpt` and `last.ckpt` are links to
    those of the latest run. `checkpoints.json` in the version folder lists the files of this run.

    Once weights are averaged, the latest average counts as the best: it includes the earlier averages, and a choice
    among them on few validation images would be a choice by chance.

    Args:
        folders: The output folders of the run.
        average: The average of the run's weights, if it has one.
        record: Plain values about the run for resuming; every checkpoint holds them.

    Attributes:
        has_started: Whether training has begun: a saved state, if any, is restored.
    """

    def __init__(
        self, folders: RunFolders, *, average: AveragedWeights | None = None, record: Mapping[str, Any] | None = None
    ) -> None:
        self.folders = folders
        self.average = average
        self.record = dict(record or {})
        self.best_accuracy = -1.0
        self.best_name = ""
        self.seconds = 0.0
        self.has_started = False
        self._began = 0.0
        self._resumed = False
        # Held while the run trains; the operating system releases it when the process is killed.
        self._running = FileLock(folders.lock)

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.folders.checkpoints / self.best_name

    @property
    def train_seconds(self) -> float:
        """Seconds of training so far, including earlier parts of a resumed run."""
        return self.seconds + (time.monotonic() - self._began if self._began else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for resuming."""
        return {
            "best_accuracy": self.best_accuracy,
            "best_name": self.best_name,
            "seconds": self.train_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the saved state."""
        self.best_accuracy, self.best_name = state_dict["best_accuracy"], state_dict["best_name"]
        self.seconds = state_dict["seconds"]
        self._resumed = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Store the identity of the run in the checkpoint."""
        checkpoint["triptych_run"] = {
            "dataset": self.folders.dataset,
            "version": self.folders.version,
            "batches": int(trainer.num_training_batches),
            **self.record,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Convert the step counters of a run that had another number of processes."""
        loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined] # undeclared by Lightning
        before, now = checkpoint["triptych_run"].get("batches"), len(loader)
        if before and before != now:
            (saved,) = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
            done = saved.get("images", 0)
            rescale(checkpoint, before=before, now=now, left=loader.sampler.steps_after(done) if done else None)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Lock the version folder for this process, and remove the partial files of a killed one.

        Raises:
            CheckpointError: Another process is training the same run.
        """
        if not trainer.is_global_zero:
            return
        self.folders.version_folder.mkdir(parents=True, exist_ok=True)
        try:
            self._running.acquire(blocking=False)
        except Timeout as error:
            raise CheckpointError(
                f"The run of {self.folders.version_folder} is still being trained by another process. Wait for its "
                "end, or stop it before you use --resume; without --resume a new run begins."
            ) from error
        remove_leftovers(self.folders.version_folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the untrained state, so that a run killed in its first epoch resumes too."""
        self._began, self.has_started = time.monotonic(), True
        if not self._resumed:
            self.save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the state after validation, also as the best if it is the best so far."""
        accuracy = cast(TaskModule, pl_module).validated["accuracy"]
        is_averaged = self.average is not None and bool(self.average.average)
        is_best = accuracy > self.best_accuracy or is_averaged
        if is_best:
            self.best_accuracy = accuracy
        self.save(trainer, pl_module, best_epoch=trainer.current_epoch if is_best else None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Stop the clock."""
        self.seconds, self._began = self.train_seconds, 0.0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Update the links, which may be outdated after a kill, and release the version folder."""
        if trainer.is_global_zero:
            with self._alone():
                self._tidy()
        self._running.release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Release the version folder."""
        self._running.release()

    def save(self, trainer: Trainer, pl_module: LightningModule, best_epoch: int | None = None) -> None:
        """Save the state as this run's last, and as its best if `best_epoch`, from 0, is given; call in every process.

        After a kill at any point, the last state is complete, and the best checkpoint that it names exists.

        Raises:
            TrainingError: The weights are not finite, or the disk is full; the files on disk are unchanged.
        """
        _check_finite(pl_module, trainer)
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.folders.last)
            return
        with self._alone():
            if best_epoch is None:
                trainer.save_checkpoint(self.folders.last)
            else:
                self._save_best(trainer, f"epoch={best_epoch + 1:02d}-val_accuracy={self.best_accuracy:.4f}")
            self._tidy()

    def _save_best(self, trainer: Trainer, stem: str) -> None:
        name = free_name(self.folders, stem)
        write_names(self.folders, best=self.best_name, files=self._own_names() | {name})
        self.best_name = name
        trainer.save_checkpoint(self.best)
        name_again(self.best, self.folders.last)

    def _tidy(self) -> None:
        """Point the links to the latest run, and remove outdated best checkpoints of this run."""
        folder, kept = self.folders.checkpoints, {self.folders.last.name, self.best_name} - {""}
        if self.folders.is_newest():
            point_to(self.folders.last, folder / "last.ckpt")
            if self.best_name:
                point_to(self.best, folder / "best.ckpt")
            else:
                # Next to this run's last, the best of an older run would look like this run's.
                (folder / "best.ckpt").unlink(missing_ok=True)
        others = set().union(*(own_names(other) for other in self.folders.others()))
        for surpassed in self._own_names() - kept - others:
            # A listed name must not be a path or the last state of another run.
            if BEST_NAME.fullmatch(surpassed):
                (folder / surpassed).unlink(missing_ok=True)
        write_names(self.folders, best=self.best_name, files=kept)

    def _own_names(self) -> set[str]:
        return own_names(self.folders) | ({self.folders.last.name, self.best_name} - {""})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the folder, so that no other run chooses names or moves links at the same time."""
        self.folders.checkpoints.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folders.checkpoints / ".lock"):
            remove_leftovers(self.folders.checkpoints)
            yield


def _check_finite(pl_module: LightningModule, trainer: Trainer) -> None:
    """Reject weights that are NaN or infinite."""
    for name, parameter in pl_module.named_parameters():
        if not Tensor.isfinite(parameter).all():
            raise TrainingError(
                f"The weights became NaN or infinite by step {trainer.global_step}, in {name}. The last good "
                "checkpoint was kept. Try a lower training.learning_rate or training.gradient_clip_norm."
            )


def rescale(checkpoint: dict[str, Any], *, before: int, now: int, left: int | None) -> None:
    """Change the step counters of a saved state in place, so that the run continues at the same point of its epochs.

    Learning rate and averaging are functions of the step. Without the change they would follow the schedule of a run
    with another length.

    Args:
        checkpoint: The checkpoint that Lightning is about to restore.
        before: Number of batches per epoch when it was saved.
        now: Number of batches per epoch now.
        left: Number of remaining batches in the epoch in which it was saved; None at an epoch's end.
    """
    loop = checkpoint["loops"]["fit_loop"]

    def scaled(steps: int) -> int:
        return round(steps * now / before)

    batches = loop["epoch_loop.batch_progress"]
    for counters in (batches["total"], *_counters(loop["epoch_loop.automatic_optimization.optim_progress"])):
        counters.update({name: scaled(value) for name, value in counters.items()})
    done = now if left is None else now - left
    batches["current"].update(dict.fromkeys(batches["current"], done))
    batches["is_last_batch"] = left is None
    state = loop["epoch_loop.state_dict"]
    state["_batches_that_stepped"] = scaled(state["_batches_that_stepped"])
    for schedule in checkpoint["lr_schedulers"]:
        schedule["last_epoch"] = scaled(schedule["last_epoch"])
    if "averaged_steps" in checkpoint:
        checkpoint["averaged_steps"] = max(1, scaled(checkpoint["averaged_steps"]))
    checkpoint["global_step"] = scaled(checkpoint["global_step"])


def _counters(progress: dict[str, Any]) -> list[dict[str, int]]:
    """Return the innermost mappings, which are the counters."""
    if all(isinstance(value, int) for value in progress.values()):
        return [progress]
    return [found for inner in progress.values() if isinstance(inner, dict) for found in _counters(inner)]
