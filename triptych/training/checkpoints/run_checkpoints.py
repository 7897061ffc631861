"""The checkpoints of one run beside those of others: the best epoch, the last state, and the links that lead there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from triptych.errors import CheckpointError, TrainingError
from triptych.files import name_again, point_to, remove_leftovers
from triptych.runs.checkpoint_list import free_name, own_names, write_names
from triptych.runs.folders import RunFolders
from triptych.training.callbacks.averaged_weights import averages_weights


class RunCheckpoints(Callback):
    """Saves the state of the run, names the best epoch, and touches no other run's files.

    In `lightning_checkpoints/<dataset>/`: `epoch=XX-val_accuracy=X.XX.ckpt` of the best epoch, and
    `version_N-last.ckpt`, written before the first step and after every epoch. `best.ckpt` and `last.ckpt` are links to
    those of the newest run. `checkpoints.json` in the version folder lists the files that are this run's.

    Once weights are averaged, only epochs of the average contend for the best: one before may be as accurate on the
    validation images by chance, but its embeddings are not as good.
    """

    def __init__(self, folders: RunFolders) -> None:
        self.folders = folders
        self.best_accuracy = -1.0
        self.best_name = ""
        self.best_is_averaged = False
        self.seconds = 0.0
        self._began = 0.0
        self._fitting = False
        self._resumed = False
        # Held while the run trains, and let go by the system when the process is killed.
        self._running = FileLock(folders.lock)

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.folders.checkpoints / self.best_name

    @property
    def train_seconds(self) -> float:
        """Seconds of training so far, over every resumption."""
        return self.seconds + (time.monotonic() - self._began if self._began else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return what resumption needs."""
        return {
            "best_accuracy": self.best_accuracy,
            "best_name": self.best_name,
            "best_is_averaged": self.best_is_averaged,
            "seconds": self.train_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the saved run stood; a checkpoint that is read to be tested changes nothing."""
        if self._fitting:
            self.best_accuracy, self.best_name = state_dict["best_accuracy"], state_dict["best_name"]
            self.best_is_averaged, self.seconds = state_dict["best_is_averaged"], state_dict["seconds"]
            self._resumed = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Say in the checkpoint whose run it is, and whether it has stopped early."""
        checkpoint["triptych_run"] = {
            "dataset": self.folders.dataset,
            "version": self.folders.version,
            "stopped_early": trainer.should_stop,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Leave a run that had stopped early at its end: Lightning would train another epoch before it asks again."""
        if self._fitting and checkpoint["triptych_run"]["stopped_early"]:
            trainer.fit_loop.max_epochs = checkpoint["epoch"] + 1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Take the version folder for this process alone, and clear away what a killed one left half-written.

        Raises:
            CheckpointError: Another process is training the same run.
        """
        self._fitting = stage == "fit"
        if not (self._fitting and trainer.is_global_zero):
            return
        self.folders.version_folder.mkdir(parents=True, exist_ok=True)
        try:
            self._running.acquire(blocking=False)
        except Timeout as error:
            raise CheckpointError(
                f"The run of {self.folders.version_folder} is still being trained by another process. Wait for its "
                "end, or stop it before you go on with --resume; without --resume a new run begins."
            ) from error
        remove_leftovers(self.folders.version_folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the untrained state, so that a run killed in its first epoch resumes too."""
        self._began = time.monotonic()
        if not self._resumed:
            self.save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the state after validation, twice named where it is the best so far."""
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        is_first_average = averages_weights(trainer) and not self.best_is_averaged
        is_best = is_first_average or accuracy > self.best_accuracy
        if is_best:
            self.best_accuracy = accuracy
            self.best_is_averaged = averages_weights(trainer)
        self.save(trainer, pl_module, best_epoch=trainer.current_epoch if is_best else None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Stop the clock."""
        self.seconds, self._began = self.train_seconds, 0.0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Let others have the version folder, after the links were put right that a kill may have left behind."""
        if self._fitting and trainer.is_global_zero:
            with self._alone():
                self._tidy()
        self._running.release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Let others have the version folder."""
        self._running.release()

    def save(self, trainer: Trainer, pl_module: LightningModule, best_epoch: int | None = None) -> None:
        """Save the state as this run's last, and as its best where `best_epoch` says so; every process must call it.

        A kill between any two steps leaves a whole last state, and the best checkpoint that this state names.

        Raises:
            TrainingError: The weights are not finite, or the disk is full; the files on disk stay as they were.
        """
        _check_finite(pl_module, trainer)
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.folders.last)
            return
        with self._alone():
            if best_epoch is None:
                trainer.save_checkpoint(self.folders.last)
            else:
                self._save_best(trainer, f"epoch={best_epoch:02d}-val_accuracy={self.best_accuracy:.2f}")
            self._tidy()

    def _save_best(self, trainer: Trainer, stem: str) -> None:
        name = free_name(self.folders, stem)
        write_names(self.folders, best=self.best_name, files=self._own_names() | {name})
        self.best_name = name
        trainer.save_checkpoint(self.best)
        name_again(self.best, self.folders.last)

    def _tidy(self) -> None:
        """Lead the links to the newest run, and remove the checkpoints of this run that were surpassed."""
        folder, kept = self.folders.checkpoints, {self.folders.last.name, self.best_name} - {""}
        if self.folders.is_newest():
            point_to(self.folders.last, folder / "last.ckpt")
            if self.best_name:
                point_to(self.best, folder / "best.ckpt")
            else:
                # An older run's best beside this run's last would be taken for this run's.
                (folder / "best.ckpt").unlink(missing_ok=True)
        for surpassed in self._own_names() - kept:
            (folder / surpassed).unlink(missing_ok=True)
        write_names(self.folders, best=self.best_name, files=kept)

    def _own_names(self) -> set[str]:
        return own_names(self.folders) | ({self.folders.last.name, self.best_name} - {""})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other runs from choosing names and moving links; the lock goes with the process that holds it."""
        self.folders.checkpoints.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folders.checkpoints / ".lock"):
            remove_leftovers(self.folders.checkpoints)
            yield


def _check_finite(pl_module: LightningModule, trainer: Trainer) -> None:
    """Refuse to save weights that a bad gradient has ruined."""
    for name, parameter in pl_module.named_parameters():
        if not Tensor.isfinite(parameter).all():
            raise TrainingError(
                f"The weights stopped being finite by step {trainer.global_step}: {name} holds NaN or infinity. The "
                "last good checkpoint was kept. Try a lower training.learning_rate or training.gradient_clip_norm."
            )
