"""The two Lightning modules: they step, log and configure their optimiser, and own nothing else."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from triptych.config.schema import RunConfig
from triptych.data.batches.loader import Batch
from triptych.data.draws import Draws, mix
from triptych.losses import (
    BatchTripletLoss,
    KLDivergenceLoss,
    LossBreakdown,
    MultiTaskLoss,
    ReconstructionLoss,
    SimpleLoss,
    TripletLoss,
    TripletStatistics,
    warmup_factor,
)
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.backbone import BackboneDescription
from triptych.models.builder import build_model, fetch_backbone, rebuild_backbone
from triptych.training.callbacks.known_features import KnownFeatures
from triptych.training.hardware.distributed import gather_rows, world_size
from triptych.training.optimisation.optimizers import build_optimizer
from triptych.training.optimisation.schedules import build_scheduler

Stage = Literal["train", "val", "test"]


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
    triplets: TripletStatistics
    """The triplet loss and the triplets behind it."""
    posterior: tuple[Tensor, ...]
    """Mean and log-variance of the latent's learned dimensions, (B, L) each; nothing in simple mode."""
    shared: tuple[Tensor, ...]
    """Where the losses' gradients meet, on the images of this process alone: the latent, or else the embedding."""


class TaskModule(LightningModule, ABC):
    """What both modules share: optimiser, schedule, and the logging of every term for every stage.

    Args:
        config: The run; a plain mapping of the same shape is validated (as it comes from a checkpoint).
        classes: Class names, in the order of the labels.
        pixel_mean: Mean of each channel of the training images, pixels in [0, 1].
        pixel_std: Standard deviation of each channel.
        backbone: The description of a pretrained encoder, as it comes from a checkpoint, whose weights follow; without
            it the encoder that the config names is fetched with its weights.

    Raises:
        ConfigError, DownloadError: The pretrained encoder cannot be had or used.
    """

    model: ImageTransformer | MultiTaskImageTransformer
    weighted_sum: MultiTaskLoss | SimpleLoss
    latest: dict[str, Tensor]
    """The accuracy, the loss and its terms of the latest step, on the device."""
    result: StepResult | None = None
    """All of the latest step; of a training step until the callbacks have seen its end, since it holds the graph."""
    known_features: KnownFeatures | None = None
    """What a frozen encoder says of the images of training and validation, where that was computed beforehand."""

    def __init__(
        self,
        config: RunConfig | Mapping[str, Any],
        *,
        classes: Sequence[str],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        backbone: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = config if isinstance(config, RunConfig) else RunConfig.model_validate(config)
        self.classes = tuple(classes)
        network = None
        if self.config.model.backbone is not None:
            described = None if backbone is None else BackboneDescription.from_plain(backbone)
            network = rebuild_backbone(described) if described else fetch_backbone(self.config.model)
        self.save_hyperparameters(
            {
                "config": self.config.model_dump(mode="json"),
                "classes": list(classes),
                "pixel_mean": list(pixel_mean),
                "pixel_std": list(pixel_std),
                "backbone": network.description.plain() if network else None,
            },
            logger=False,
        )
        training = self.config.training
        self.model = build_model(
            self.config,
            num_classes=len(self.classes),
            pixel_mean=tuple(pixel_mean),
            pixel_std=tuple(pixel_std),
            backbone=network,
        )
        self.classification = nn.CrossEntropyLoss(label_smoothing=training.label_smoothing)
        self.drawn_triplets = TripletLoss(margin=training.margin)
        mining = "all" if training.triplet_mining == "random" else training.triplet_mining
        self.mined_triplets = BatchTripletLoss(margin=training.margin, mining=mining)

    @abstractmethod
    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return loss, terms and accuracy over the batch of all processes; `stage` says of which images it is."""

    def on_fit_start(self) -> None:
        """Bring the known features to the device that trains, where they fit."""
        if self.known_features is not None:
            self.known_features = self.known_features.near(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss whose gradient, averaged over the processes, is that of the whole batch."""
        if self.config.model.dropout or self.config.model.backbone:
            # Dropout, which a pretrained encoder may have, draws from the global generator: seeded anew at every step,
            # it resumes exactly.
            seed = self.config.training.seed
            torch.manual_seed(mix("dropout", seed, self.current_epoch, batch_idx, self.global_rank))
        result = self.measure(batch)
        self._keep(result)
        return result.losses.total * world_size()

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log the step's terms and accuracy where it is one of those that are logged, and let its graph go."""
        # What is handed to Lightning at every step costs it milliseconds, wanted or not.
        if self.trainer.global_step % self.config.logging.log_every_n_steps == 0 or self.trainer.should_stop:
            self._log("train")
        self.result = None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log the terms and the accuracy of a validation batch."""
        self._keep(self.measure(batch, "val"))
        self._log("val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log the terms and the accuracy of a test batch."""
        self._keep(self.measure(batch, "test"))
        self._log("test")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Build the optimiser and the schedule, which moves at every optimiser step."""
        training = self.config.training
        # Where bfloat16 pays for the model, it pays for Muon's products of matrices.
        muon_dtype = torch.bfloat16 if self.trainer.precision == "bf16-mixed" else torch.float32
        optimizer = build_optimizer(self, self.model.encoder, self.config, muon_dtype=muon_dtype)
        # Asking the trainer for its number of batches now would start the loader before a saved state reaches it.
        batches = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined] # undeclared by Lightning
        steps_per_epoch = math.ceil(batches / training.accumulate_gradients)
        scheduler = build_scheduler(
            optimizer, training.scheduler, epochs=training.epochs, steps_per_epoch=steps_per_epoch
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "learning_rate"},
        }

    def compare(self, embeddings: Sequence[Tensor], label: Tensor) -> TripletStatistics:
        """Return the loss of drawn triplets (three tensors of (B, E)), or of those mined in one (B, E)."""
        drawn = len(embeddings) == 3
        return self.drawn_triplets.compare(*embeddings) if drawn else self.mined_triplets.mine(embeddings[0], label)

    def draws(self, batch: Batch) -> Draws:
        """Return the random numbers of this step, which depend on seed, epoch and image alone."""
        return Draws(self.config.training.seed, self.current_epoch, batch.index)

    def _features(self, batch: Batch, stage: Stage) -> Tensor | None:
        """Return what the encoder says of the batch (B, F), where that is known."""
        if self.known_features is None:
            return None
        return self.known_features.of(stage, batch.index)

    def _keep(self, result: StepResult) -> None:
        values = {"accuracy": result.accuracy, "loss": result.losses.total, **result.losses.terms}
        self.latest = {name: value.detach() for name, value in values.items()}
        self.result = result

    def _log(self, stage: str) -> None:
        assert self.result is not None
        # The gathered batch makes the numbers those of all processes, its size their weight in the epoch's mean. What
        # is validated after training is no point of the curve.
        self.log_dict(
            {f"{stage}/{name}": value for name, value in self.latest.items()},
            logger=stage != "val" or self.trainer.state.fn == "fit",
            on_step=stage == "train",
            on_epoch=stage != "train",
            batch_size=len(self.result.label),
        )


class MultiTaskImageTransformerLightning(TaskModule):
    """Trains the three panels: triplet, classification, reconstruction and KL divergence, weighted."""

    model: MultiTaskImageTransformer

    def __init__(
        self,
        config: RunConfig | Mapping[str, Any],
        *,
        classes: Sequence[str],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        backbone: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(config, classes=classes, pixel_mean=pixel_mean, pixel_std=pixel_std, backbone=backbone)
        training = self.config.training
        self.reconstruction = ReconstructionLoss(kind=training.reconstruction_loss)
        self.kl = KLDivergenceLoss(free_bits=training.kl_free_bits)
        is_gaussian = training.reconstruction_loss == "gaussian"
        # The KL divergence is of a whole image, as the gaussian loss would be without its mean over the pixels.
        self.kl_scale = 1 / math.prod(self.config.dataset.image_shape) if is_gaussian else 1.0
        balanced = ("triplet", "classification") if is_gaussian else ("triplet", "classification", "reconstruction")
        self.weighted_sum = MultiTaskLoss(
            triplet_weight=training.triplet_weight,
            classification_weight=training.classification_weight,
            reconstruction_weight=training.reconstruction_weight,
            kl_weight=training.kl_weight,
            balanced=balanced if training.loss_balancing == "uncertainty" else (),
        )

    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return all four terms; drawn positives and negatives serve the triplet loss alone."""
        size = len(batch.label)
        output = self.model(views(batch), self._noise(batch), self._features(batch, stage))
        errors = self.reconstruction.per_image(output.reconstruction[:size], batch.anchor)
        logits, label, mean, log_variance, errors, *embeddings = gather_rows(
            output.logits[:size],
            batch.label,
            output.mean[:size],
            output.log_variance[:size],
            errors,
            *output.embedding.split(size),
        )
        triplets = self.compare(embeddings, label)
        breakdown = self.weighted_sum(
            triplet=triplets.loss,
            classification=self.classification(logits, label),
            reconstruction=self.reconstruction.reduce(errors),
            kl=self.kl(mean, log_variance),
            kl_factor=self._kl_factor(),
        )
        return StepResult(
            breakdown,
            accuracy(logits, label),
            label,
            embeddings[0],
            triplets,
            posterior=(mean[:, : self.model.learned_dim], log_variance[:, : self.model.learned_dim]),
            shared=(output.mean, output.log_variance),
        )

    def _noise(self, batch: Batch) -> Tensor | None:
        """Draw the noise of the reparameterisation: (B, L), or (3B, L) with drawn triplets; none when evaluating."""
        if not self.training:
            return None
        draws, dimensions = self.draws(batch), self.model.latent_dim
        names = ("anchor",) if batch.positive is None else ("anchor", "positive", "negative")
        return torch.cat([draws.fork(name).normal("latent", dimensions) for name in names])

    def _kl_factor(self) -> float:
        """Return the factor of the KL weight: its scale, times that of the warm-up, which is 1 outside training."""
        epochs = self.config.training.kl_warmup_epochs
        if not (self.training and epochs):
            return self.kl_scale
        steps = epochs * self.trainer.num_training_batches
        return self.kl_scale * warmup_factor(self.trainer.fit_loop.total_batch_idx, warmup_steps=steps)


class ImageTransformerLightning(TaskModule):
    """Trains two panels, triplet and classification: `triplet + classifier_weight x classification`."""

    model: ImageTransformer

    def __init__(
        self,
        config: RunConfig | Mapping[str, Any],
        *,
        classes: Sequence[str],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        backbone: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(config, classes=classes, pixel_mean=pixel_mean, pixel_std=pixel_std, backbone=backbone)
        self.weighted_sum = SimpleLoss(classifier_weight=self.config.training.classifier_weight)

    def measure(self, batch: Batch, stage: Stage = "train") -> StepResult:
        """Return both terms; drawn positives and negatives serve the triplet loss alone."""
        size = len(batch.label)
        output = self.model(views(batch), self._features(batch, stage))
        logits, label, *embeddings = gather_rows(output.logits[:size], batch.label, *output.embedding.split(size))
        triplets = self.compare(embeddings, label)
        breakdown = self.weighted_sum(triplet=triplets.loss, classification=self.classification(logits, label))
        return StepResult(
            breakdown,
            accuracy(logits, label),
            label,
            embeddings[0],
            triplets,
            posterior=(),
            shared=(output.embedding,),
        )


def views(batch: Batch) -> Tensor:
    """Return all images of a batch in one tensor: (B, C, H, W) anchors, or (3B, C, H, W) drawn triplets."""
    if batch.positive is None or batch.negative is None:
        return batch.anchor
    return torch.cat([batch.anchor, batch.positive, batch.negative])


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is the label's."""
    return (logits.argmax(1) == label).float().mean()
