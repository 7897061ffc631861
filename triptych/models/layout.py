"""Channels-last memory format of convolution weights, for the encoder and the decoder."""

import torch
from torch import nn


def channels_last(convolution: nn.Conv2d) -> nn.Conv2d:
    """Convert the weight of a convolution to channels-last, and return the convolution.

    The weight's memory format determines that of the activations. Channels-last takes two thirds of the default's time
    on a CPU, and makes tokens (B, N, D) and images (B, D, h, w) views of each other. The conversion is necessary even
    with one channel, where both formats are the same memory: the choice of kernel and DDP compare strides.
    """
    convolution.weight = nn.Parameter(convolution.weight.detach().clone(memory_format=torch.channels_last))
    return convolution
