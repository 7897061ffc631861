"""Builds the Lightning module from the config: network, loss, optimiser, and their description in a checkpoint."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from triptych.config.schema import RunConfig
from triptych.data.module import ImageDataModule
from triptych.losses.builder import build_loss
from triptych.models.builder import build_model, fetch_backbone, is_given, rebuild_backbone
from triptych.models.pretrained.backbone import Backbone, BackboneDescription
from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning, TaskModule
from triptych.training.optimisation.optimizers import build_optimizer
from triptych.training.optimisation.schedules import build_scheduler

PREPARATION_IMAGES = 10_000
"""Number of training images for the whitening filters and principal components."""
SAMPLE_BYTES = 2**27
"""Maximum size of the sample of training images: it contains fewer images if they are large."""


def build_module(
    config: RunConfig,
    data: ImageDataModule,
    *,
    backbone: Mapping[str, Any] | None = None,
    encoder: nn.Module | None = None,
) -> TaskModule:
    """Build the Lightning module of a run: weights from the seed, filters and components from the images.

    Args:
        config: The config of the run.
        data: The images of the run.
        backbone: The description of its pretrained encoder, if a checkpoint with the weights will be loaded.
        encoder: The user's module, if the run has one (`model.backbone: module:…`).

    Raises:
        ConfigError, DownloadError: The pretrained encoder is not available or not usable.
    """
    mean, deviation = data.pixel_statistics()
    torch.manual_seed(config.training.seed)
    module = assemble(
        config, classes=data.classes, pixel_mean=mean, pixel_std=deviation, backbone=backbone, encoder=encoder
    )
    module.model.prepare(sample(data, PREPARATION_IMAGES), seed=config.training.seed)
    return module


def sample(data: ImageDataModule, most: int) -> Tensor:
    """Draw a sample of training images to compute statistics: uint8 (n, C, H, W)."""
    return data.sample(min(most, SAMPLE_BYTES // math.prod(data.train.images.shape[1:])))


def assemble(
    config: RunConfig,
    *,
    classes: Sequence[str],
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    backbone: Mapping[str, Any] | None = None,
    encoder: nn.Module | None = None,
) -> TaskModule:
    """Assemble a module with random weights.

    Args:
        config: The config of the run.
        classes: Class names, in the order of the labels.
        pixel_mean: Mean of each channel of the training images, pixels in [0, 1].
        pixel_std: Standard deviation of each channel.
        backbone: The description of a pretrained encoder from a checkpoint, whose weights are loaded later; None
            fetches the encoder that the config names, with its weights.
        encoder: The user's module, if the run has one (`model.backbone: module:…`).

    Raises:
        ConfigError, DownloadError: The pretrained encoder is not available or not usable.
    """
    network = _backbone(config, backbone)
    model = build_model(
        config,
        num_classes=len(classes),
        pixel_mean=tuple(pixel_mean),
        pixel_std=tuple(pixel_std),
        backbone=network,
        encoder=encoder,
    )
    kind: type[TaskModule] = (
        MultiTaskImageTransformerLightning if config.training.use_multitask_loss else ImageTransformerLightning
    )
    return kind(
        model,
        build_loss(config),
        optimisation=partial(_optimise, config),
        hyper_parameters={
            "config": config.model_dump(mode="json"),
            "classes": list(classes),
            "pixel_mean": list(pixel_mean),
            "pixel_std": list(pixel_std),
            "backbone": network.description.plain() if network else None,
        },
        seed=config.training.seed,
        seeds_steps=bool(config.model.dropout or config.model.backbone),
        log_every_n_steps=config.logging.log_every_n_steps,
        kl_warmup_epochs=config.training.kl_warmup_epochs,
        accumulate_gradients=config.training.accumulate_gradients,
        pad=config.dataset.pad,
    )


def _optimise(
    config: RunConfig, module: TaskModule, muon_dtype: torch.dtype, steps_per_epoch: int
) -> tuple[Optimizer, LRScheduler]:
    training = config.training
    optimizer = build_optimizer(module, module.model.encoder, config, muon_dtype=muon_dtype)
    schedule = build_scheduler(optimizer, training.scheduler, epochs=training.epochs, steps_per_epoch=steps_per_epoch)
    return optimizer, schedule


def _backbone(config: RunConfig, description: Mapping[str, Any] | None) -> Backbone | None:
    if config.model.backbone is None or is_given(config.model):
        return None
    if description is None:
        return fetch_backbone(config.model)
    return rebuild_backbone(BackboneDescription.from_plain(description))
