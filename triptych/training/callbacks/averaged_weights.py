"""Averages the weights over the last steps; validation, checkpoints and test use the average."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from triptych.models import ImageTransformer, MultiTaskImageTransformer


class AveragedWeights(Callback):
    """Averages the weights of a run's last steps uniformly (Polyak and Juditsky, 1992).

    Training continues with the trained weights. The average replaces them during validation, in checkpoints, and at the
    end of the run. The running statistics of batch normalisation depend on the weights: for the average they are
    recomputed on training images (Izmailov et al., 2018). A checkpoint also holds the trained weights and their
    statistics, so that a resumed run has the same result.

    Args:
        share: Share of the run's steps, at its end, that are averaged, above 0.
        images: (n, C, H, W), uint8; a few thousand training images for the statistics.
        batch_size: Maximum batch size of these images in each process.
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
        """Compute the first step of the average, and move a resumed average to the device of the weights."""
        steps = int(trainer.estimated_stepping_batches)
        self._first_step = steps - round(self.share * steps) + 1
        self._latest_step = trainer.global_step
        if self._latest_step < self._first_step:
            self.average = {}  # the run was resumed with more epochs
        self.average = {name: weight.to(pl_module.device) for name, weight in self.average.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Add the weights to the average if the optimiser made a step."""
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
        """Swap in the average, with its own statistics, for validation."""
        self._swap(pl_module)
        self._measure(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Restore the trained weights."""
        self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._swap(pl_module)
        self._measure(trainer, pl_module)
        self.average = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the average as the model's weights, and the trained weights separately."""
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
        """Swap trained weights and average, with their statistics, if there is an average."""
        if self.average:
            state = _state(pl_module)
            for name, average in self.average.items():
                between = average.clone()
                average.copy_(state[name])
                state[name].copy_(between)

    @torch.no_grad()
    def _measure(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the statistics of the average, which is in the model, unless they are up to date."""
        if not self.average or self._measured:
            return
        model = pl_module.model
        assert isinstance(model, ImageTransformer | MultiTaskImageTransformer)
        self._measured = True
        if model.encoder.is_frozen:
            return
        # Dropout would change the state of PyTorch's generator.
        devices = [pl_module.device] if pl_module.device.type == "cuda" else []
        with torch.random.fork_rng(devices), trainer.precision_plugin.forward_context():
            # Each process gets its share of a batch, as in training.
            rank, processes = trainer.global_rank, trainer.world_size
            batches = model.pixels.batches(self.images, size=self.batch_size * processes)
            update_bn((batch[rank::processes] for batch in batches), model.encoder)


def _trained(module: LightningModule) -> dict[str, Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def _state(module: LightningModule) -> dict[str, Tensor]:
    """Return the trainable weights and the running statistics of batch normalisation."""
    statistics = {
        f"{name}.{statistic}": value
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm)
        for statistic, value in layer.named_buffers()
    }
    return _trained(module) | statistics
