"""Stops a run whose loss is no longer a number, and says at which step and in which term it happened."""

from math import isfinite

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from triptych.errors import TrainingError
from triptych.training.modules import TaskModule

REMEDY = (
    "The last good checkpoint was kept. Try a lower training.learning_rate or training.gradient_clip_norm, and "
    "precision 32-true if it was another."
)


class FiniteLosses(Callback):
    """Looks at the terms of every step: at once on a CPU, every few steps on a GPU, which need not wait for the host.

    Args:
        every_n_steps: Steps between two looks on anything but a CPU.
    """

    def __init__(self, *, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self._unseen: list[tuple[int, dict[str, Tensor]]] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Remember the step's terms, and look at the remembered ones when it is time.

        Raises:
            TrainingError: A loss is not finite.
        """
        assert isinstance(pl_module, TaskModule)
        self._unseen.append((trainer.global_step, pl_module.latest))
        if pl_module.device.type == "cpu" or len(self._unseen) >= self.every_n_steps:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Look before the epoch's checkpoint is written, at the validation's terms too.

        Raises:
            TrainingError: A loss is not finite.
        """
        self._look(trainer)
        validated = {
            name.removeprefix("val/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/")
        }
        if guilty := _not_finite(validated):
            raise TrainingError(
                f"The validation loss stopped being finite after epoch {trainer.current_epoch + 1} (step "
                f"{trainer.global_step}), in {guilty}. {REMEDY}"
            )

    def _look(self, trainer: Trainer) -> None:
        unseen, self._unseen = self._unseen, []
        if not unseen:
            return
        # One copy from the device for all of them.
        rows = torch.stack([torch.stack(list(terms.values())) for _, terms in unseen]).tolist()
        for (step, terms), values in zip(unseen, rows, strict=True):
            if guilty := _not_finite(dict(zip(terms, values, strict=True))):
                raise TrainingError(
                    f"The loss stopped being finite at step {step} (epoch {trainer.current_epoch + 1}), in {guilty}. "
                    f"{REMEDY}"
                )


def _not_finite(terms: dict[str, float]) -> str:
    """Name what makes the loss not finite, with its value: the terms, or the weighted sum where it alone overflows.

    Where the loss is finite the answer is empty: a term of weight zero does no harm.
    """
    if isfinite(terms["loss"]):
        return ""
    guilty = {name: value for name, value in terms.items() if not isfinite(value)}
    causes = {name: value for name, value in guilty.items() if name != "loss"} or guilty
    return " and ".join(f"{name} ({value})" for name, value in causes.items())
