"""Assigns optimisers and learning rates to parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triptych.config.schema import RunConfig
from triptych.models import Encoder
from triptych.training.optimisation.muon import MuonAdamW, RatedLayer

BACKBONE_RATES = {"finetune": 5e-5, "lora": 5e-4}
"""AdamW's learning rate of a pretrained encoder if `backbone_learning_rate` is null, by `backbone_mode`."""


def build_optimizer(
    module: nn.Module, encoder: Encoder, config: RunConfig, *, muon_dtype: torch.dtype = torch.float32
) -> MuonAdamW:
    """Build AdamW, or Muon for the encoder's hidden weights and AdamW for all other trainable parameters.

    AdamW trains a pretrained encoder in either case, with its own learning rates. AdamW without Muon also uses
    `MuonAdamW`, because Lightning allows it to clip gradients in mixed precision; for PyTorch's fused AdamW, Lightning
    assumes that gradients are still scaled.

    Args:
        module: The module whose parameters are optimised, including model and losses.
        encoder: The part of it that may have hidden weights or pretrained layers.
        config: The config of the run.
        muon_dtype: The dtype of Muon's matrix products.
    """
    training = config.training
    hidden = encoder.hidden_weights() if training.optimizer == "muon" else []
    rate = training.backbone_learning_rate or BACKBONE_RATES.get(config.model.backbone_mode, training.learning_rate)
    layers = rated_layers(encoder.pretrained_layers(), learning_rate=rate, decay=training.layer_decay)
    treated = {*hidden, *(parameter for layer in layers for parameter in layer.parameters)}
    return MuonAdamW(
        hidden,
        [parameter for parameter in module.parameters() if parameter.requires_grad and parameter not in treated],
        layers=layers,
        muon_learning_rate=training.muon_learning_rate,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        muon_dtype=muon_dtype,
    )


def rated_layers(layers: Sequence[Sequence[Tensor]], *, learning_rate: float, decay: float) -> list[RatedLayer]:
    """Assign the learning rate to the last layer, and to each other layer `decay` times that of the next layer.

    Layer-wise learning-rate decay as in BEiT (Bao et al., 2022). Without a decay all layers form one group.

    Example:
        >>> [layer.learning_rate for layer in rated_layers([[], [], []], learning_rate=0.4, decay=0.5)]
        [0.1, 0.2, 0.4]
    """
    if decay == 1:
        together = [parameter for layer in layers for parameter in layer]
        return [RatedLayer("backbone", together, learning_rate)] if together else []
    return [
        RatedLayer(f"backbone_{number}", list(layer), learning_rate * decay ** (len(layers) - number))
        for number, layer in enumerate(layers, 1)
    ]
