"""Progress of a run on the console: a bar with losses and remaining time, and a row of results for every epoch."""

import time
from collections.abc import Iterable, Mapping
from typing import cast

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from triptych.training.modules import TaskModule
from triptych.training.reporting import duration, shown_figures

SECONDS_BETWEEN_READINGS = 0.5
"""Minimum interval between updates: reading a loss synchronises with the device."""


class RunProgress(ProgressBar):
    """Prints a table of validation results, one row per epoch, and on a terminal a progress bar below it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._bar: _BarAndLosses | None = None
        self._read = 0.0
        self._began = 0.0
        self._epoch_began = 0.0
        self._epochs_trained = 0
        self._has_heading = False

    def disable(self) -> None:
        """Disable all output: another process prints."""
        self.console = Console(quiet=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Draw the bar if the output is a terminal."""
        self._began = self._epoch_began = time.monotonic()
        if self.console.is_terminal:
            total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
            self._bar = _BarAndLosses(self.console)
            self._bar.add_task(_epoch(trainer), total=total, completed=trainer.fit_loop.total_batch_idx + 1)
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start the timer, and advance the bar over skipped epochs."""
        self._epoch_began = time.monotonic()
        if self._bar is not None:
            (task,) = self._bar.task_ids
            self._bar.update(task, completed=trainer.fit_loop.total_batch_idx + 1)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Advance the bar."""
        if self._bar is None:
            return
        (task,) = self._bar.task_ids
        self._bar.advance(task)
        if time.monotonic() - self._read > SECONDS_BETWEEN_READINGS:
            self._read = time.monotonic()
            latest = shown_figures({name: float(value) for name, value in cast(TaskModule, pl_module).latest.items()})
            self._bar.losses = "  ".join(f"{name} {value:.3f}" for name, value in latest.items() if name != "accuracy")
            self._bar.update(task, description=_epoch(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row to the table of validation results."""
        figures = shown_figures(cast(TaskModule, pl_module).validated)
        epochs, now = trainer.max_epochs or 0, time.monotonic()
        if not self._has_heading:
            self._has_heading = True
            self.console.print("\n[bold]validation[/bold]")
            self.console.print(f"[dim]{_heading(epochs, figures)}[/dim]", highlight=False, soft_wrap=True)
        self._epochs_trained += 1
        done = trainer.current_epoch + 1
        left = (epochs - done) * (now - self._began) / self._epochs_trained
        row = _row(done, epochs, figures, seconds=now - self._epoch_began, left=left)
        self.console.print(row, highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Remove the bar before the message is printed."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _BarAndLosses(Progress):
    """A bar for the whole run, with the losses in a line below it, because both do not fit in one line."""

    def __init__(self, console: Console) -> None:
        self.losses = ""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        super().__init__(*columns, console=console, expand=True, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield Text(self.losses, no_wrap=True, overflow="crop")


def _epoch(trainer: Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


# The columns are as wide as their names, or as 12.345: the table of the multi-task mode fits 80 characters.


def _heading(epochs: int, names: Iterable[str]) -> str:
    columns = [f"{'epoch':>{_width(epochs)}}", *(f"{name:>6}" for name in names), f"{'time':>6}", f"{'left':>6}"]
    return "  ".join(columns)


def _row(epoch: int, epochs: int, figures: Mapping[str, float], *, seconds: float, left: float) -> str:
    cells = [f"{value:>{max(6, len(name))}.{4 if value < 10 else 3}f}" for name, value in figures.items()]
    times = [f"{duration(seconds):>6}", f"{duration(left):>6}"]
    return "  ".join([f"{epoch}/{epochs}".rjust(_width(epochs)), *cells, *times])


def _width(epochs: int) -> int:
    return max(len("epoch"), len(f"{epochs}/{epochs}"))
