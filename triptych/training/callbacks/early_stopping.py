"""Early stopping: if validation accuracy no longer improves, the run skips to its closing epochs, or ends."""

from typing import Any, cast

from lightning import Callback, LightningModule, Trainer
from rich.console import Console

from triptych.training.modules import TaskModule


class EarlyStopping(Callback):
    """Shortens a run whose validation accuracy no longer improves.

    The closing epochs complete a run: the learning rate reaches its final value, augmentation is off, and weights are
    averaged. They are not cancelled: the run skips to the first of them, as if the epochs in between had passed. A run
    without closing epochs ends at once.

    It must be the last callback: epochs are skipped after the checkpoint is written, which records that they will be.

    Args:
        patience: Number of epochs without improvement.
        min_delta: Smallest gain in accuracy that counts as improvement.
        closing_epochs: Number of epochs at the end of the run that are never skipped.
        console: Output for the messages.

    Attributes:
        skipped: Number of skipped epochs.
    """

    def __init__(self, *, patience: int, min_delta: float, closing_epochs: int, console: Console) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.closing_epochs = closing_epochs
        self.console = console
        self.skipped = 0
        self._best = float("-inf")
        self._waited = 0
        self._pending = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state for resuming."""
        return {"best": self._best, "waited": self._waited, "pending": self._pending, "skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the saved state."""
        self._best, self._waited = state_dict["best"], state_dict["waited"]
        self._pending, self.skipped = state_dict["pending"], state_dict["skipped"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Skip the epochs that were about to be skipped when the state was saved."""
        self._act(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the epoch's accuracy with the best one so far."""
        accuracy = cast(TaskModule, pl_module).validated["accuracy"]
        if accuracy > self._best + self.min_delta:
            self._best, self._waited = accuracy, 0
        else:
            self._waited += 1
        done = trainer.current_epoch + 1
        self._pending = self._waited >= self.patience and done < (trainer.max_epochs or 0) - self.closing_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Skip to the closing epochs, or end the run."""
        self._act(trainer)

    def _act(self, trainer: Trainer) -> None:
        if not self._pending:
            return
        self._pending = False
        loop = trainer.fit_loop
        done = loop.epoch_progress.current.processed  # type: ignore[attr-defined] # typed as its base
        epochs = trainer.max_epochs or 0
        reason = f"no better accuracy for {self.patience} epochs"
        if not self.closing_epochs:
            loop.max_epochs = done
            self._print(trainer, f"stopped early after epoch {done}: {reason}")
            return
        epoch = epochs - self.closing_epochs
        skip_epochs(trainer, epoch - done)
        self.skipped += epoch - done
        self._print(trainer, f"{reason}: skipping to epoch {epoch + 1}, where the closing epochs of the run begin")

    def _print(self, trainer: Trainer, text: str) -> None:
        if trainer.is_global_zero:
            self.console.print(text, highlight=False, soft_wrap=True)


def skip_epochs(trainer: Trainer, epochs: int) -> None:
    """Skip epochs without training: advance the counters of epochs, batches and steps, and the learning rate.

    Everything that depends on them follows: the schedule, the random numbers, and the closing epochs.
    """
    loop = trainer.fit_loop
    for progress in (loop.epoch_progress.current, loop.epoch_progress.total):
        for name, value in vars(progress).items():
            setattr(progress, name, value + epochs)
    batches = epochs * int(trainer.num_training_batches)
    for name, value in vars(loop.epoch_loop.batch_progress.total).items():
        setattr(loop.epoch_loop.batch_progress.total, name, value + batches)
    steps = epochs * -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)
    stepped = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    stepped.ready += steps
    stepped.completed += steps
    loop.epoch_loop._batches_that_stepped += steps
    for configured in trainer.lr_scheduler_configs:
        schedule = configured.scheduler
        schedule.last_epoch += steps - 1
        schedule.step()  # type: ignore[call-arg] # a schedule that counts steps
