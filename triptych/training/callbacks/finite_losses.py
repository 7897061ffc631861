"""Stops a run whose loss became NaN or infinite, and reports the step and the term."""

from math import isfinite
from typing import cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from triptych.errors import TrainingError
from triptych.training.modules import TaskModule

REMEDY = (
    "The last good checkpoint was kept. Try a lower training.learning_rate or training.gradient_clip_norm, or "
    "precision 32-true where it was another."
)


class FiniteLosses(Callback):
    """Checks the terms of every step: immediately on a CPU, every few steps on a GPU, to avoid synchronisation.

    Args:
        every_n_steps: Number of steps between two checks on other devices than a CPU.
    """

    def __init__(self, *, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self._unchecked: list[tuple[int, dict[str, Tensor]]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Store the step's terms, and check all stored terms every few steps.

        Raises:
            TrainingError: A loss is not finite.
        """
        self._unchecked.append((trainer.global_step, cast(TaskModule, pl_module).latest))
        if pl_module.device.type == "cpu" or len(self._unchecked) >= self.every_n_steps:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check before the epoch's checkpoint is written, including the validation's terms.

        Raises:
            TrainingError: A loss is not finite.
        """
        self._check(trainer)
        if wrong := _not_finite(cast(TaskModule, pl_module).validated):
            raise TrainingError(
                f"The validation loss became NaN or infinite after epoch {trainer.current_epoch + 1} (step "
                f"{trainer.global_step}), in {wrong}. {REMEDY}"
            )

    def _check(self, trainer: Trainer) -> None:
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        # One copy from the device for all of them.
        rows = torch.stack([torch.stack(list(terms.values())) for _, terms in unchecked]).tolist()
        for (step, terms), values in zip(unchecked, rows, strict=True):
            if wrong := _not_finite(dict(zip(terms, values, strict=True))):
                raise TrainingError(
                    f"The loss became NaN or infinite at step {step} (epoch {trainer.current_epoch + 1}), in {wrong}. "
                    f"{REMEDY}"
                )


def _not_finite(terms: dict[str, float]) -> str:
    """List the terms that are NaN or infinite, with their values; the weighted sum if only the sum overflows.

    Empty if the loss is finite: a term of weight zero has no effect.
    """
    if isfinite(terms["loss"]):
        return ""
    wrong = {name: value for name, value in terms.items() if not isfinite(value)}
    causes = {name: value for name, value in wrong.items() if name != "loss"} or wrong
    return " and ".join(f"{name} ({value})" for name, value in causes.items())
