"""Batch normalisation of the convolutional patch embedding: exact across processes, and foldable into filters."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.latent import at_least_float32
from triptych.models.vit.recomputing import is_recomputing

# B batch, C channels, h/w grid of features.


class BatchNormalisation(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy, 2015) with a learned shift and no learned scale.

    In training mode, channels are standardised with the statistics of the batch, or, with several processes, of all
    their batches. Gradients pass through these statistics to every process, so that two processes with B images each
    equal one with 2 B. In evaluation mode, the running statistics are used, and an image's features do not depend on
    the rest of the batch. The next layer's filters replace the missing scale; without it the factor of every channel is
    positive, and the layer can be folded into a convolution before a max-pooling.

    PyTorch's `SyncBatchNorm` supports only GPUs. This class is a subclass of `BatchNorm2d`, so that
    `torch.optim.swa_utils.update_bn` supports it.

    Args:
        channels: C.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, C, h, w) to the same shape and type."""
        if self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return self._forward_of_all(features)
        if self.training and features.numel() > self.num_features:
            return self._forward_of_one(features)
        # A single value has no variance: the running statistics are used instead.
        return F.batch_norm(features, self.running_mean, self.running_var, None, self.bias, eps=self.eps)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the scale and the shift of each channel in evaluation mode: (C,) and (C,)."""
        scale = (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def _forward_of_one(self, features: Tensor) -> Tensor:
        if not is_recomputing():
            return super().forward(features)
        # The same operation, so that the same number of tensors is saved; the batch was counted the first time.
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        return F.batch_norm(features, mean, variance, None, self.bias, training=True, eps=self.eps)

    def _forward_of_all(self, features: Tensor) -> Tensor:
        values = at_least_float32(features)
        number = values.new_full((1,), values.numel() / self.num_features)
        sums = _summed(torch.cat([values.sum((0, 2, 3)), number]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        variance = _summed(centred.square().sum((0, 2, 3))) / count
        if not is_recomputing():
            self._count(mean, variance, count)
        scale = (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(features.dtype)

    @torch.no_grad()
    def _count(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics as PyTorch does: by `momentum`, or to the mean of all batches if it is None."""
        unbiased = variance * (count / (count - 1))
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of theirs; `torch.distributed.nn` is deprecated."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401, ARG004 - PyTorch's signature
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401, ARG004
        (gradient,) = gradients
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    """Sum over the processes; the gradient of the sum is summed over them too."""
    total: Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call] # PyTorch has no types for it
    return total
