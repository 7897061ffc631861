"""Which parameters learn how fast, and by which optimiser."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triptych.config.schema import RunConfig
from triptych.models import Encoder
from triptych.training.optimisation.muon import MuonAdamW, RatedLayer

BACKBONE_RATES = {"finetune": 5e-5, "lora": 5e-4}
"""AdamW's learning rate of a pretrained encoder where `backbone_learning_rate` is null, by `backbone_mode`."""


def build_optimizer(
    module: nn.Module, encoder: Encoder, config: RunConfig, *, muon_dtype: torch.dtype = torch.float32
) -> MuonAdamW:
    """Build AdamW, or Muon on the encoder's hidden weights and AdamW on everything else that learns.

    A pretrained encoder learns by AdamW in either case, at rates of its own. AdamW alone comes in `MuonAdamW` too,
    which Lightning allows to clip gradients under mixed precision: of PyTorch's fused AdamW it believes that the
    gradients are still scaled.

    Args:
        module: Whose parameters are to learn: model, losses and all.
        encoder: The part of it that may have hidden weights or pretrained layers.
        config: The run.
        muon_dtype: In which Muon multiplies matrices.
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
    """Let the last layer learn at the given rate, and each other at `decay` times that of the one above it.

    Layer-wise decay, as BEiT is fine-tuned (Bao et al., 2022). Without a decay all layers are one.

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
