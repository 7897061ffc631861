"""The KL divergence of the VAE's posterior from the standard normal prior, and its warm-up.

Letters: B batch, L latent dimension.
"""

import math

import torch
from torch import Tensor, nn


class KLDivergenceLoss(nn.Module):
    """KL(N(mean, exp(log_variance)) || N(0, I)) in closed form, in nats (Kingma & Welling 2014, appendix B).

    Reduction: the sum over latent dimensions of the mean over the batch. With free bits (Kingma et al. 2016, appendix
    C.8), each dimension costs max(its mean over the batch, free_bits): a dimension with less information has no
    gradient and is not pushed further towards the prior. The value is unweighted: `MultiTaskLoss` applies weight and
    warm-up.

    Args:
        free_bits: Nats per latent dimension without a penalty; 0 penalises every nat.

    Raises:
        ValueError: free_bits is not a finite number of at least 0.

    Example:
        >>> KLDivergenceLoss()(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor(0.5000)
    """

    inputs = ("mean", "log_variance")

    def __init__(self, *, free_bits: float = 0.0) -> None:
        super().__init__()
        if not (free_bits >= 0 and math.isfinite(free_bits)):
            raise ValueError(
                f"free_bits must be a finite number of at least 0, but it is {free_bits}; it counts nats per dimension"
            )
        self.free_bits = free_bits

    def forward(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Compute the loss from (B, L) means and log-variances; returns a scalar, at least float32.

        Raises:
            ValueError: As in `kl_per_dimension`.
        """
        return kl_per_dimension(mean, log_variance).clamp(min=self.free_bits).sum()

    def extra_repr(self) -> str:
        """Return the free bits, for `print(loss)`."""
        return f"free_bits={self.free_bits}"


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of each latent dimension in nats, the mean over the batch, before free bits.

    Args:
        mean: (B, L).
        log_variance: (B, L), natural logarithms.

    Returns:
        (L,), each at least 0 except for rounding errors, at least float32.

    Raises:
        ValueError: The shapes differ or are not (B, L).
    """
    if mean.ndim != 2 or mean.shape != log_variance.shape:
        raise ValueError(
            "mean and log_variance must have one shape (B, L), but they have "
            f"{tuple(mean.shape)} and {tuple(log_variance.shape)}; give both heads of the same latent"
        )
    dtype = torch.promote_types(mean.dtype, torch.float32)
    mean, log_variance = mean.to(dtype), log_variance.to(dtype)
    # expm1 keeps the digits that exp(x) - 1 loses near the prior, where most dimensions are.
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance).mean(dim=0)


def warmup_factor(step: float, *, warmup_steps: float) -> float:
    """Return the factor of the KL weight after `step` steps: it rises linearly from 0 to 1, then stays 1.

    Both can be in steps, epochs or any other common unit; 0 warm-up steps means no warm-up.

    Raises:
        ValueError: One of them is negative or not a number.

    Example:
        >>> [warmup_factor(step, warmup_steps=4) for step in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """
    if not (step >= 0 and warmup_steps >= 0):
        raise ValueError(
            f"step and warmup_steps must be at least 0, but they are {step} and {warmup_steps}; "
            "count the steps from the start of training"
        )
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0
