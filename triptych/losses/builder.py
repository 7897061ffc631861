"""Builds the weighted sum of losses from the config; the only file of this package that reads the config."""

from importlib import import_module
from math import prod

from torch import nn

from triptych.config.loss_terms import LOSS_TERMS, LossTerm
from triptych.config.schema import RunConfig, TrainingConfig
from triptych.losses.multitask import MultiTaskLoss
from triptych.losses.triplet import TripletLoss


def build_loss(config: RunConfig) -> MultiTaskLoss:
    """Build the loss of a run: one term for each row of `LOSS_TERMS` that applies to its mode."""
    training = config.training
    weights = training.loss_weights()
    if "kl" in weights and training.reconstruction_loss == "gaussian":
        # The KL divergence is per image, while the gaussian loss is a mean over its pixels and channels.
        weights["kl"] /= prod(config.dataset.image_shape)
    return MultiTaskLoss({name: (_loss(LOSS_TERMS[name], training), weight) for name, weight in weights.items()})


def _loss(term: LossTerm, training: TrainingConfig) -> nn.Module:
    if term is LOSS_TERMS["triplet"] and training.triplet_mining == "random":
        return TripletLoss(margin=training.margin)
    module, _, name = term.loss.partition(":")
    loss: nn.Module = getattr(import_module(module), name)(
        **{argument: getattr(training, key) for argument, key in term.settings.items()}
    )
    return loss
