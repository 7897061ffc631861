"""The two Lightning modules: training steps, logging, and configuration of the optimiser."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from triptych.data.batches.loader import Batch
from triptych.data.draws import Draws, mix
from triptych.losses import LossBreakdown, MultiTaskLoss, TripletStatistics, squared_errors, warmup_factor
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.training.callbacks.known_features import KnownFeatures
from triptych.training.hardware.distributed import gather_rows, world_size

Stage = Literal["train", "val"]

Optimisation = Callable[["TaskModule", torch.dtype, int], tuple[Optimizer, LRScheduler]]
"""Builds optimiser and schedule from a module, the dtype of Muon's products, and the optimiser steps per epoch."""


class StepResult(NamedTuple):
    """The results of a step, over the images of all processes."""

    losses: LossBreakdown
    """The loss and its terms."""
    accuracy: Tensor
    """The accuracy, a scalar."""
    label: Tensor
    """(B,) classes."""
    embedding: Tensor
    """(B, E), of the images themselves, not of their drawn positives and negatives."""
    posterior: tuple[Tensor, ...]
    """Mean and log-variance of the latent's learned dimensions, (B, L) each; empty in simple mode."""
    shared: tuple[Tensor, ...]
    """The tensors that the losses share, for the images of this process: the latent, or else the embedding."""
    squared_error: Tensor | None = None
    """Squared error of the reconstructions in validation, the mean over images and pixels, a scalar."""

    @property
    def triplets(self) -> TripletStatistics:
        """The triplet loss and the counts of its triplets."""
        return self.losses.statistics["triplet"]

    def values(self) -> dict[str, Tensor]:
        """Return the logged values by name: scalars without a graph."""
        values = {"accuracy": self.accuracy, "loss": self.losses.total.detach(), **self.losses.terms}
        return values if self.squared_error is None else {**values, "mse": self.squared_error}


class TaskModule(LightningModule, ABC):
    """Base class of both modules: optimiser, schedule, and logging of every term for every stage.

    Args:
        model: The network.
        loss: The weighted sum that training minimises.
        optimisation: Builds optimiser and schedule.
        hyper_parameters: Plain values from which the module can be rebuilt; every checkpoint holds them.
        seed: Seed of the latent's noise and of dropout.
        seeds_steps: Whether the network draws from PyTorch's generator, as dropout does: the generator is then seeded
            at every step, so that a resumed run draws the same numbers.
        log_every_n_steps: Number of steps between two points of a training curve.
        kl_warmup_epochs: Number of epochs over which the KL weight rises from zero.
        accumulate_gradients: Number of batches per optimiser step.
        pad: Number of pixels of padding at each border of an image, which `mse` excludes.
    """

    model: ImageTransformer | MultiTaskImageTransformer
    latest: dict[str, Tensor]
    """The accuracy, the loss and its terms of the latest step, on the device."""
    validated: dict[str, float]
    """The same for the latest validation: means over its images, with the reconstructions' squared error as `mse`."""
    result: StepResult | None = None
    """The full result of the latest step; a training step's is released after its callbacks, as it holds the graph."""
    known_features: KnownFeatures | None = None
    """Precomputed features of a frozen encoder for the training and validation images, if any."""

    def __init__(
        self,
        model: ImageTransformer | MultiTaskImageTransformer,
        loss: MultiTaskLoss,
        *,
        optimisation: Optimisation,
        hyper_parameters: Mapping[str, Any],
        seed: int = 0,
        seeds_steps: bool = False,
        log_every_n_steps: int = 20,
        kl_warmup_epochs: float = 0.0,
        accumulate_gradients: int = 1,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(dict(hyper_parameters), logger=False)
        self.model = model
        self.loss = loss
        self.optimisation = optimisation
        self.seed = seed
        self.seeds_steps = seeds_steps
        self.log_every_n_steps = log_every_n_steps
        self.kl_warmup_epochs = kl_warmup_epochs
        self.accumulate_gradients = accumulate_gradients
        self.pad = pad
        self.validated = {}
        self._sums: dict[str, Tensor] = {}
        self._validated_images = 0

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, **_: Any) -> Self:  # type: ignore[override] # noqa: ANN401
        """Load a checkpoint, as `triptych.load_lightning_model` does: no code in the file is executed."""
        from triptych.training.checkpoints.loading import load_lightning_model

        return load_lightning_model(checkpoint_path, cls)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return tuple(self.hparams["classes"])

    @abstractmethod
    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return loss, terms and accuracy over the batch of all processes; `stage` is the split of the images."""

    def on_fit_start(self) -> None:
        """Copy the precomputed features to the training device if they fit."""
        if self.known_features is not None:
            self.known_features = self.known_features.near(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss whose gradient, averaged over processes and accumulated batches, is that of all images."""
        if self.seeds_steps:
            torch.manual_seed(mix("dropout", self.seed, self.current_epoch, batch_idx, self.global_rank))
        result = self.measure(batch)
        self._keep(result)
        return result.losses.total * world_size() * self._share_of_window(batch_idx)

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log terms and accuracy every few steps, and release the step's graph."""
        # Each call of Lightning's `log` costs milliseconds, even if the step is not logged.
        if self.trainer.global_step % self.log_every_n_steps == 0 or self.trainer.should_stop:
            self.log_dict({f"train/{name}": value for name, value in self.latest.items()})
        self.result = None

    def on_validation_epoch_start(self) -> None:
        """Reset the means."""
        self._sums, self._validated_images = {}, 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Add a batch to the means: in float32, whatever the precision of training, as in evaluation."""
        with torch.autocast(self.device.type, enabled=False):
            result = self.measure(batch, "val")
        self._keep(result)
        # Values of the gathered batch are those of all processes; its size is their weight.
        size = len(result.label)
        self._sums = {name: value * size + self._sums.get(name, 0) for name, value in self.latest.items()}
        self._validated_images += size

    def on_validation_epoch_end(self) -> None:
        """Log the means."""
        sums = dict(zip(self._sums, torch.stack(list(self._sums.values())).tolist(), strict=True))
        # The exact number of images, which the sum of rounded means is not.
        sums["accuracy"] = round(sums["accuracy"])
        self.validated = {name: value / self._validated_images for name, value in sums.items()}
        self.log_dict({f"val/{name}": value for name, value in self.validated.items()})

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Build the optimiser and the schedule, which is updated at every optimiser step."""
        # If bfloat16 is faster for the model, it is also faster for Muon's matrix products.
        muon_dtype = torch.bfloat16 if self.trainer.precision == "bf16-mixed" else torch.float32
        # The trainer's number of batches would start the loader before a saved state is restored.
        batches = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined] # undeclared by Lightning
        steps_per_epoch = math.ceil(batches / self.accumulate_gradients)
        optimizer, scheduler = self.optimisation(self, muon_dtype, steps_per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "learning_rate"},
        }

    def draws(self, batch: Batch) -> Draws:
        """Return the random numbers of this step, which depend only on seed, epoch and image."""
        return Draws(self.seed, self.current_epoch, batch.index)

    def _features(self, batch: Batch, stage: Stage) -> Tensor | None:
        """Return the encoder's features of the batch (B, F), if they are precomputed."""
        if self.known_features is None:
            return None
        return self.known_features.of(stage, batch.index)

    def _share_of_window(self, batch_idx: int) -> float:
        """Return the factor for a batch in an epoch's last accumulation window, which may have fewer batches.

        Lightning divides by the number of batches of a full window.
        """
        window = self.accumulate_gradients
        if window == 1:
            return 1.0
        batches = int(self.trainer.num_training_batches)
        return window / min(window, batches - batch_idx // window * window)

    def _keep(self, result: StepResult) -> None:
        self.latest = result.values()
        self.result = result


class MultiTaskImageTransformerLightning(TaskModule):
    """Trains metric learning, classification and reconstruction: all terms of the loss, weighted."""

    model: MultiTaskImageTransformer

    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return all terms; only the triplet loss uses drawn positives and negatives."""
        size = len(batch.label)
        output = self.model(views(batch), self._noise(batch), self._features(batch, stage))
        outputs = {
            **embeddings(output.embedding, size),
            "logits": output.logits[:size],
            "label": batch.label,
            "reconstruction": output.reconstruction[:size],
            "image": batch.anchor,
            "mean": output.mean[:size],
            "log_variance": output.log_variance[:size],
        }
        names = ["embedding", "logits", "label", "mean", "log_variance"]
        if not self.training:
            outputs["squared_error"] = squared_errors(outputs["reconstruction"], batch.anchor, pad=self.pad)
            names.append("squared_error")
        rows = gathered(self.loss.rows(outputs) | {name: outputs[name] for name in names})
        return StepResult(
            self.loss(rows, {"kl": self._kl_warmup()}),
            accuracy(rows["logits"], rows["label"]),
            rows["label"],
            rows["embedding"],
            posterior=tuple(rows[name][:, : self.model.learned_dim] for name in ("mean", "log_variance")),
            shared=(output.mean, output.log_variance),
            squared_error=None if self.training else rows["squared_error"].mean(),
        )

    def _noise(self, batch: Batch) -> Tensor | None:
        """Draw the noise of the reparameterisation: (B, L), or (3B, L) with drawn triplets; None in evaluation."""
        if not self.training:
            return None
        draws, dimensions = self.draws(batch), self.model.latent_dim
        names = ("anchor",) if batch.positive is None else ("anchor", "positive", "negative")
        return torch.cat([draws.fork(name).normal("latent", dimensions) for name in names])

    def _kl_warmup(self) -> float:
        """Return the factor of the KL weight, which is 1 outside training."""
        if not (self.training and self.kl_warmup_epochs):
            return 1.0
        steps = self.kl_warmup_epochs * self.trainer.num_training_batches
        return warmup_factor(self.trainer.fit_loop.total_batch_idx, warmup_steps=steps)


class ImageTransformerLightning(TaskModule):
    """Trains metric learning and classification: `triplet + classifier_weight x classification`."""

    model: ImageTransformer

    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return both terms; only the triplet loss uses drawn positives and negatives."""
        size = len(batch.label)
        output = self.model(views(batch), self._features(batch, stage))
        outputs = {**embeddings(output.embedding, size), "logits": output.logits[:size], "label": batch.label}
        rows = gathered(self.loss.rows(outputs) | {name: outputs[name] for name in ("embedding", "logits", "label")})
        return StepResult(
            self.loss(rows),
            accuracy(rows["logits"], rows["label"]),
            rows["label"],
            rows["embedding"],
            posterior=(),
            shared=(output.embedding,),
        )


def views(batch: Batch) -> Tensor:
    """Return all images of a batch in one tensor: (B, C, H, W) anchors, or (3B, C, H, W) drawn triplets."""
    if batch.positive is None or batch.negative is None:
        return batch.anchor
    return torch.cat([batch.anchor, batch.positive, batch.negative])


def embeddings(embedding: Tensor, size: int) -> dict[str, Tensor]:
    """Return the embeddings (B, E) of the images, and of positives and negatives if `embedding` is (3B, E)."""
    return dict(zip(("embedding", "positive", "negative"), torch.split(embedding, size), strict=False))


def gathered(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the rows of all processes, by name."""
    return dict(zip(rows, gather_rows(*rows.values()), strict=True))


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is that of the label."""
    return (logits.argmax(1) == label).float().mean()
