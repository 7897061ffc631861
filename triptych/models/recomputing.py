"""Activations that are computed again when the backward pass needs them, instead of being kept until then."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, inputs: Tensor) -> Tensor:
    """Apply a module of which only the input is kept for the backward pass (Chen et al., 2016).

    The random numbers of dropout are drawn again as they were, so that gradients are the same to the last bit. Nothing
    is computed twice where no gradient is asked for.
    """
    if not torch.is_grad_enabled():
        return cast(Tensor, module(inputs))
    return cast(Tensor, checkpoint(module, inputs, use_reentrant=False))
