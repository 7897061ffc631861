"""An average of the weights over the last steps, which validation, checkpoints and test use in their place."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class AveragedWeights(Callback):
    """Averages the weights of a run's last steps, all alike (Polyak and Juditsky, 1992).

    Training goes on with the weights that its steps lead to; the average takes their place while the run is validated,
    in the checkpoints that it writes, and at its end. A checkpoint holds the trained weights beside it, so that a
    resumed run ends as it would have.

    Args:
        share: of the run's steps, the last ones, above 0.
    """

    def __init__(self, *, share: float) -> None:
        self.share = share
        self.average: dict[str, Tensor] = {}
        self.averaged = 0
        self._first_step, self._latest_step = 0, 0
        self._fitting = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Note whether weights are trained, or only tested."""
        self._fitting = stage == "fit"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the first step of the average, and bring a resumed one to where the weights are."""
        steps = int(trainer.estimated_stepping_batches)
        self._first_step = steps - round(self.share * steps) + 1
        self._latest_step = trainer.global_step
        if self._latest_step < self._first_step:
            self.average = {}  # that of a run which has been given more epochs since
        self.average = {name: weight.to(pl_module.device) for name, weight in self.average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Move the average towards the weights, where there was a step of the optimiser."""
        if trainer.global_step == self._latest_step or trainer.global_step < self._first_step:
            return
        self._latest_step = trainer.global_step
        weights = _trained(pl_module)
        if not self.average:
            self.average, self.averaged = {name: weight.clone() for name, weight in weights.items()}, 0
        self.averaged += 1
        torch._foreach_lerp_(list(self.average.values()), list(weights.values()), 1 / self.averaged)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Let the average be validated."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Let training go on with its own weights."""
        self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Leave the average in the model."""
        self._swap(pl_module)
        self.average = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the average where a model is loaded from, and the trained weights beside it."""
        state = checkpoint["state_dict"]
        checkpoint["trained_weights"] = {name: state[name] for name in self.average}
        checkpoint["averaged_steps"] = self.averaged
        checkpoint["state_dict"] = {**state, **self.average}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Take up where the saved run stood; a checkpoint that is read to be tested changes nothing."""
        if self._fitting:
            trained, self.averaged = checkpoint["trained_weights"], checkpoint["averaged_steps"]
            self.average = {name: checkpoint["state_dict"][name].clone() for name in trained}
            pl_module.load_state_dict(trained, strict=False)

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        """Exchange trained weights and average, while a run trains and has one."""
        if self._fitting and self.average:
            weights = _trained(pl_module)
            for name, average in self.average.items():
                between = average.clone()
                average.copy_(weights[name])
                weights[name].copy_(between)


def averages_weights(trainer: Trainer) -> bool:
    """Say whether a run has come to the steps whose weights are averaged."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # undeclared by Lightning
    return any(isinstance(callback, AveragedWeights) and callback.average for callback in callbacks)


def _trained(module: LightningModule) -> dict[str, Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
