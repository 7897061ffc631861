"""Handles Ctrl-C, SIGTERM and SIGHUP: finish the step, save, and exit with the conventional exit code."""

import signal
import threading
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer

from triptych.errors import Interruption
from triptych.training.checkpoints.run_checkpoints import RunCheckpoints

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
STEPS_BETWEEN_VOTES = 10
"""Interval at which the processes of a distributed run exchange whether one was interrupted."""


class Interruptible(Callback):
    """Handles signals during training; a second signal ends the process at once."""

    def __init__(self, checkpoints: RunCheckpoints) -> None:
        self.checkpoints = checkpoints
        self.received = 0
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Install the signal handlers (Lightning's own would stop between two collectives of a distributed run)."""
        if threading.current_thread() is threading.main_thread():
            # Ignored signals stay ignored, such as SIGHUP under nohup.
            wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._previous = {number: signal.signal(number, self._note) for number in wanted}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Save and exit after a complete step; if validation is next, finish the epoch first."""
        batches = batch_idx + 1
        if batches >= trainer.num_training_batches or batches % trainer.accumulate_grad_batches:
            return
        votes = trainer.world_size == 1 or batches // trainer.accumulate_grad_batches % STEPS_BETWEEN_VOTES == 0
        if votes and self._interrupted(trainer):
            self.checkpoints.save(trainer, pl_module)
            self._leave(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Exit after the epoch's checkpoint, which an earlier callback has written."""
        if self._interrupted(trainer):
            self._leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Restore the previous handlers."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Restore the previous handlers."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _interrupted(self, trainer: Trainer) -> bool:
        return bool(trainer.strategy.reduce_boolean_decision(self.received != 0, all=False))

    def _leave(self, trainer: Trainer) -> None:
        # A process without a signal ends together with those that got one.
        number = self.received or signal.SIGTERM
        folders = self.checkpoints.folders
        # Without a path, --resume resumes the latest run.
        option = "--resume" if folders.is_newest() else f"--resume {folders.last}"
        raise Interruption(
            number,
            f"Stopped by {signal.Signals(number).name} after step {trainer.global_step}. The state is saved in "
            f"{folders.last}; continue with {option}.",
        )
