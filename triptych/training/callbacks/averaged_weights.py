"""An average of the weights over the last steps, which validation, checkpoints and test use in their place."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from triptych.models import ImageTransformer, MultiTaskImageTransformer


class AveragedWeights(Callback):
    """Averages the weights of a run's last steps, all alike (Polyak and Juditsky, 1992).

    Training continues with the weights that its steps lead to. The average replaces them while the run is validated, in
    the checkpoints that it writes, and at its end. The running statistics of batch normalisation belong to the weights:
    for the average they are measured again on training images (Izmailov et al., 2018). A checkpoint holds the trained
    weights and their statistics too, so that a resumed run ends as it would have.

    Args:
        share: of the run's steps, the last ones, above 0.
        images: (n, C, H, W), uint8; training images on which the statistics are measured, some thousand.
        batch_size: of these at a time, at most, in each process.
    """

    def __init__(self, *, share: float, images: Tensor, batch_size: int) -> None:
        self.share = share
        self.images = images
        self.batch_size = batch_size
        self.average: dict[str, Tensor] = {}
        self.averaged = 0
        self._first_step, self._latest_step = 0, 0
        self._measured = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the first step of the average, and bring a resumed one to where the weights are."""
        steps = int(trainer.estimated_stepping_batches)
        self._first_step = steps - round(self.share * steps) + 1
        self._latest_step = trainer.global_step
        if self._latest_step < self._first_step:
            self.average = {}  # that of a run which has been given more epochs since
        self.average = {name: weight.to(pl_module.device) for name, weight in self.average.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Move the average towards the weights, where there was a step of the optimiser."""
        if trainer.global_step == self._latest_step or trainer.global_step < self._first_step:
            return
        self._latest_step = trainer.global_step
        if not self.average:
            self.average, self.averaged = {name: value.clone() for name, value in _state(pl_module).items()}, 0
        self.averaged += 1
        weights = _trained(pl_module)
        torch._foreach_lerp_([self.average[name] for name in weights], list(weights.values()), 1 / self.averaged)
        self._measured = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the average be validated, with statistics of its own."""
        self._swap(pl_module)
        self._measure(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Let training continue with its own weights."""
        self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._swap(pl_module)
        self._measure(trainer, pl_module)
        self.average = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the average where a model is loaded from, and the trained weights beside it."""
        if self.average and not self._measured:
            self._swap(pl_module)
            self._measure(trainer, pl_module)
            self._swap(pl_module)
        state = checkpoint["state_dict"]
        checkpoint["trained_weights"] = {name: state[name] for name in self.average}
        checkpoint["averaged_steps"] = self.averaged
        checkpoint["state_dict"] = {**state, **self.average}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Continue from the saved state."""
        trained, self.averaged = checkpoint["trained_weights"], checkpoint["averaged_steps"]
        self.average = {name: checkpoint["state_dict"][name].clone() for name in trained}
        pl_module.load_state_dict(trained, strict=False)

    @torch.no_grad()
    def _swap(self, pl_module: LightningModule) -> None:
        """Exchange trained weights and average, with their statistics, where there is an average."""
        if self.average:
            state = _state(pl_module)
            for name, average in self.average.items():
                between = average.clone()
                average.copy_(state[name])
                state[name].copy_(between)

    @torch.no_grad()
    def _measure(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the statistics of the average, which is in the model, unless no step was made since the last time."""
        if not self.average or self._measured:
            return
        model = pl_module.model
        assert isinstance(model, ImageTransformer | MultiTaskImageTransformer)
        self._measured = True
        if model.encoder.is_frozen:
            return
        # Dropout would draw from PyTorch's generator.
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        with torch.random.fork_rng(devices), trainer.precision_plugin.forward_context():
            # Each process has its share of a batch, as in training.
            rank, processes = trainer.global_rank, trainer.world_size
            batches = model.pixels.batches(self.images, size=self.batch_size * processes)
            update_bn((batch[rank::processes] for batch in batches), model.encoder)


def _trained(module: LightningModule) -> dict[str, Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def _state(module: LightningModule) -> dict[str, Tensor]:
    """Return the weights that learn, and the running statistics of batch normalisation."""
    statistics = {
        f"{name}.{statistic}": value
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm)
        for statistic, value in layer.named_buffers()
    }
    return _trained(module) | statistics
