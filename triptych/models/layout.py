"""How convolution weights lie in memory: channels-last, for the encoder and the decoder."""

import torch
from torch import nn


def channels_last(convolution: nn.Conv2d) -> nn.Conv2d:
    """Lay the weight of a convolution out with its channels last, and return the convolution.

    The weight decides the layout of the activations. Channels-last takes two thirds of the default's time on a CPU, and
    turns tokens (B, N, D) and images (B, D, h, w) into views of each other. It must be spelled out even where only one
    channel makes both layouts the same memory: the strides are compared, by the choice of kernel and by DDP.
    """
    convolution.weight = nn.Parameter(convolution.weight.detach().clone(memory_format=torch.channels_last))
    return convolution
