"""The two Lightning modules: they step, log and hand out their optimiser, and own nothing else."""

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
"""Makes optimiser and schedule for a module, the type in which Muon multiplies, and the optimiser steps of an epoch."""


class StepResult(NamedTuple):
    """What the modules compute from a batch, over the images of all processes."""

    losses: LossBreakdown
    """The loss and its terms."""
    accuracy: Tensor
    """The share of images whose largest logit is their class's, a scalar."""
    label: Tensor
    """(B,) classes."""
    embedding: Tensor
    """(B, E), of the images themselves, not of the positives and negatives drawn for them."""
    posterior: tuple[Tensor, ...]
    """Mean and log-variance of the latent's learned dimensions, (B, L) each; nothing in simple mode."""
    shared: tuple[Tensor, ...]
    """Where the losses' gradients meet, on the images of this process alone: the latent, or else the embedding."""
    squared_error: Tensor | None = None
    """Of the reconstructions in validation, the mean over images and pixels, a scalar."""

    @property
    def triplets(self) -> TripletStatistics:
        """The triplet loss and the counts of its triplets."""
        return self.losses.statistics["triplet"]

    def values(self) -> dict[str, Tensor]:
        """Return what is logged, by name: scalars without a graph."""
        values = {"accuracy": self.accuracy, "loss": self.losses.total.detach(), **self.losses.terms}
        return values if self.squared_error is None else {**values, "mse": self.squared_error}


class TaskModule(LightningModule, ABC):
    """What both modules share: optimiser, schedule, and the logging of every term for every stage.

    Args:
        model: The network.
        loss: The weighted sum that training minimises.
        optimisation: Makes optimiser and schedule.
        hyper_parameters: Plain values from which the module can be built again; every checkpoint holds them.
        seed: Of the noise of latent and dropout.
        seeds_steps: Whether the network draws from PyTorch's generator, as dropout does: it is then seeded at every
            step, so that a resumed run draws the same.
        log_every_n_steps: Steps between two points of a training curve.
        kl_warmup_epochs: Epochs over which the KL weight climbs from zero.
        accumulate_gradients: Batches of an optimiser step.
        pad: Pixels at each border of an image that were added to it: they are no part of `mse`.
    """

    model: ImageTransformer | MultiTaskImageTransformer
    latest: dict[str, Tensor]
    """The accuracy, the loss and its terms of the latest step, on the device."""
    validated: dict[str, float]
    """The same of the latest validation: means over its images, with the squared error of reconstructions as `mse`."""
    result: StepResult | None = None
    """All of the latest step; of a training step until the callbacks have seen its end, since it holds the graph."""
    known_features: KnownFeatures | None = None
    """What a frozen encoder computes from the images of training and validation, where that was done beforehand."""

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
        """Load a checkpoint, as `triptych.load_lightning_model` does: no code in the file is run."""
        from triptych.training.checkpoints.loading import load_lightning_model

        return load_lightning_model(checkpoint_path, cls)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return tuple(self.hparams["classes"])

    @abstractmethod
    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return loss, terms and accuracy over the batch of all processes; `stage` names their images."""

    def on_fit_start(self) -> None:
        """Bring the known features to the device that trains, where they fit."""
        if self.known_features is not None:
            self.known_features = self.known_features.near(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss whose gradient, averaged over processes and accumulated batches, is that of them all."""
        if self.seeds_steps:
            torch.manual_seed(mix("dropout", self.seed, self.current_epoch, batch_idx, self.global_rank))
        result = self.measure(batch)
        self._keep(result)
        return result.losses.total * world_size() * self._share_of_window(batch_idx)

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log the step's terms and accuracy where it is one of those that are logged, and let its graph go."""
        # What is handed to Lightning at every step costs it milliseconds, wanted or not.
        if self.trainer.global_step % self.log_every_n_steps == 0 or self.trainer.should_stop:
            self.log_dict({f"train/{name}": value for name, value in self.latest.items()})
        self.result = None

    def on_validation_epoch_start(self) -> None:
        """Reset the means."""
        self._sums, self._validated_images = {}, 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Add a batch to the means: in float32, whatever precision trains, as evaluation computes them."""
        with torch.autocast(self.device.type, enabled=False):
            result = self.measure(batch, "val")
        self._keep(result)
        # The gathered batch makes the numbers those of all processes; its size is their weight.
        size = len(result.label)
        self._sums = {name: value * size + self._sums.get(name, 0) for name, value in self.latest.items()}
        self._validated_images += size

    def on_validation_epoch_end(self) -> None:
        """Log the means."""
        sums = dict(zip(self._sums, torch.stack(list(self._sums.values())).tolist(), strict=True))
        # A number of images, which the sum of rounded means is not exactly.
        sums["accuracy"] = round(sums["accuracy"])
        self.validated = {name: value / self._validated_images for name, value in sums.items()}
        self.log_dict({f"val/{name}": value for name, value in self.validated.items()})

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make the optimiser and the schedule, which moves at every optimiser step."""
        # Where bfloat16 pays for the model, it pays for Muon's products of matrices.
        muon_dtype = torch.bfloat16 if self.trainer.precision == "bf16-mixed" else torch.float32
        # The trainer's own number of batches would start the loader before a saved state reaches it.
        batches = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined] # undeclared by Lightning
        steps_per_epoch = math.ceil(batches / self.accumulate_gradients)
        optimizer, scheduler = self.optimisation(self, muon_dtype, steps_per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "learning_rate"},
        }

    def draws(self, batch: Batch) -> Draws:
        """Return the random numbers of this step, which depend on seed, epoch and image alone."""
        return Draws(self.seed, self.current_epoch, batch.index)

    def _features(self, batch: Batch, stage: Stage) -> Tensor | None:
        """Return what the encoder computes from the batch (B, F), where that is known."""
        if self.known_features is None:
            return None
        return self.known_features.of(stage, batch.index)

    def _share_of_window(self, batch_idx: int) -> float:
        """Return the factor for a batch of an epoch's last window of accumulation, where it has fewer batches.

        Lightning divides by the number of a whole window.
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
        """Return all terms; drawn positives and negatives serve the triplet loss alone."""
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
        """Draw the noise of the reparameterisation: (B, L), or (3B, L) with drawn triplets; none when evaluating."""
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
        """Return both terms; drawn positives and negatives serve the triplet loss alone."""
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
    """Return the embeddings (B, E) of the images, and of positives and negatives where `embedding` is (3B, E)."""
    return dict(zip(("embedding", "positive", "negative"), torch.split(embedding, size), strict=False))


def gathered(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the rows of all processes, by name."""
    return dict(zip(rows, gather_rows(*rows.values()), strict=True))


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is the label's."""
    return (logits.argmax(1) == label).float().mean()
