"""Detects collapse during a run, and reports it with cause and remedy in the first epoch with its signs."""

from dataclasses import dataclass, field
from math import ceil, isfinite, nan
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.markup import escape
from torch import Tensor

from triptych.metrics.geometry import effective_rank, spread
from triptych.training.guard.diagnoses import Diagnosis, diagnose
from triptych.training.guard.signs import (
    Signs,
    Task,
    latent_signs,
    separation,
    separation_by_chance,
    shares,
    squared_gradients,
)
from triptych.training.modules import StepResult, TaskModule

ROWS = 2048
"""Number of validation images, equally spaced, whose embeddings and latents are measured."""


class CollapseGuard(Callback):
    """Measures the signs of collapse in every epoch, logs them to TensorBoard, and prints a diagnosis.

    Nothing is read from the device during an epoch: sums over the steps, the gradients of the epoch's last step at the
    tensor that the losses share, and some of the validation's embeddings stay on it until the epoch's end. The weights
    are bit-identical with and without the guard. It must run before the checkpoints, which then contain its findings.

    Attributes:
        found: Each diagnosis once, as in metrics.json: its first and last epoch, counted from 1, its name, the printed
            line, and its numbers.
        stopped: Whether the guard has ended the run.
    """

    def __init__(self, task: Task, console: Console, *, stops: bool) -> None:
        self.task = task
        self.console = console
        self.stops = stops
        self.found: list[dict[str, Any]] = []
        self.stopped = False
        self._epoch = _Epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return the state for resuming, also within an epoch."""
        return {"found": self.found, "sums": self._epoch.sums.tolist(), "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the saved state."""
        self.found = state_dict["found"]
        self.stopped = state_dict.get("stopped", False)
        self._epoch.sums = torch.tensor(state_dict["sums"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """End a run that had been stopped, unless the config now allows it to continue."""
        if self.stopped and self.stops:
            trainer.fit_loop.max_epochs = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                text = "the run had collapsed and stopped: training.on_collapse warn would continue it"
                self.console.print(text, highlight=False, soft_wrap=True)
        self.stopped = False

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Measure the gradients of the epoch's last step before its graph is freed."""
        if not trainer.is_last_batch:
            return
        result = _result(pl_module)
        # The same scale as the gradients of training: smaller ones would underflow in half precision.
        scale = loss.detach() / result.losses.total.detach()
        self._epoch.squares = squared_gradients(result.losses.weighted, result.shared, scale=scale)
        self._epoch.losses = result.losses.terms

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:  # noqa: ARG002
        """Count the step, whether it had triplets, and the share of active triplets."""
        triplets = _result(pl_module).triplets
        empty = (triplets.valid == 0).float()
        counts = torch.stack([torch.ones_like(empty), empty, triplets.active_fraction.float()])
        self._epoch.sums = self._epoch.sums.to(counts.device) + counts

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Store some of the embeddings and latents on the device."""
        result = _result(pl_module)
        size = len(result.label)
        every = ceil(size * sum(trainer.num_val_batches) / ROWS)
        first = -self._epoch.validated % every
        self._epoch.validated += size
        parts = (result.embedding, result.label, *result.posterior)
        self._epoch.rows.append([part[first::every].clone() for part in parts])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the signs of the epoch, log them, and print a diagnosis if there is a problem."""
        assert isinstance(pl_module, TaskModule)
        signs = self._signs(trainer, pl_module.validated["accuracy"])
        numbers = {name: value for name, value in signs.numbers(self.task).items() if isfinite(value)}
        for logger in trainer.loggers:
            # Not by Lightning's `log`, which costs more than everything else; at the step of the validation's curves.
            logger.log_metrics({f"guard/{name}": value for name, value in numbers.items()}, trainer.global_step - 1)
        diagnosis = diagnose(signs, self.task)
        if diagnosis is not None:
            self._report(trainer, diagnosis, numbers)
        if self.stops:
            self._stop(trainer, is_collapse=diagnosis is not None and diagnosis.is_collapse)
        self._epoch = _Epoch()

    def _signs(self, trainer: Trainer, accuracy: float) -> Signs:
        """Copy everything to the host; all processes have the same rows, and each has its part of the gradients."""
        epoch = self._epoch
        squares = trainer.strategy.reduce(epoch.squares, reduce_op="sum")
        assert isinstance(squares, Tensor)
        steps, empty, active = epoch.sums.tolist()
        losses = torch.stack(list(epoch.losses.values())).tolist()
        embedding, label, *posterior = (torch.cat(parts).cpu() for parts in zip(*epoch.rows, strict=True))
        rank = effective_rank(embedding)
        return Signs(
            steps=trainer.global_step,
            active_fraction=active / (steps - empty) if steps > empty else nan,
            without_triplets=empty / steps,
            losses=dict(zip(epoch.losses, losses, strict=True)),
            gradient_shares=shares([term for term in self.task.weights if self.task.trains(term)], squares.tolist()),
            spread=spread(embedding),
            effective_rank=rank,
            separation=separation(embedding, label),
            separation_by_chance=separation_by_chance(
                images=len(label), classes=len(torch.unique(label)), dimensions=rank
            ),
            latent=latent_signs(*posterior) if posterior else None,
            accuracy=accuracy,
        )

    def _report(self, trainer: Trainer, diagnosis: Diagnosis, numbers: dict[str, float]) -> None:
        """Print a new diagnosis, and record the epoch of a known one."""
        epoch = trainer.current_epoch + 1
        for one in self.found:
            if one["name"] == diagnosis.name:
                one["last_epoch"] = epoch
                return
        found = {"epoch": epoch, "last_epoch": epoch, "name": diagnosis.name, "what": diagnosis.what, "values": numbers}
        self.found.append(found)
        if not trainer.is_global_zero:
            return
        kind = "collapse" if diagnosis.is_collapse else "warning"
        line = f"[bold yellow]{kind}[/bold yellow]  {escape(diagnosis.what)}"
        self.console.print(line, highlight=False, soft_wrap=True)
        if isinstance(trainer.logger, TensorBoardLogger):
            text = f"epoch {epoch}: {diagnosis.what}"
            trainer.logger.experiment.add_text("guard/diagnosis", text, trainer.global_step - 1)

    def _stop(self, trainer: Trainer, *, is_collapse: bool) -> None:
        """End the run after this epoch in all processes as soon as one of them detects a collapse."""
        if not trainer.strategy.reduce_boolean_decision(is_collapse, all=False):
            return
        trainer.should_stop = self.stopped = True
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and epoch < (trainer.max_epochs or 0):
            self.console.print(
                f"stopped after epoch {epoch}: training.on_collapse is stop", highlight=False, soft_wrap=True
            )


@dataclass
class _Epoch:
    """Values that stay on the device until the end of an epoch."""

    sums: Tensor = field(default_factory=lambda: torch.zeros(3))
    """Number of steps, number of steps without triplets, and the sum of the shares of active triplets."""
    squares: Tensor = field(default_factory=lambda: torch.zeros(0))
    """The squared norms of the last step's gradients, this process's part."""
    losses: dict[str, Tensor] = field(default_factory=dict)
    """The terms of the last step."""
    rows: list[list[Tensor]] = field(default_factory=list)
    """Embeddings, labels and posteriors of validation images, by batch."""
    validated: int = 0
    """Number of validation images so far."""


def _result(module: LightningModule) -> StepResult:
    assert isinstance(module, TaskModule)
    assert module.result is not None
    return module.result
