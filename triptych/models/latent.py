"""The VAE's latent: from features to a Gaussian posterior, and the reparameterised sample."""

import torch
from torch import Tensor, nn

# B batch, D features, L latent.

LOG_VARIANCE_LIMIT = 10.0
"""Bound of |log-variance|: deviations from 0.007 to 148, so that exp never overflows, not even in bfloat16."""

INITIAL_LOG_VARIANCE = -4.0
"""A deviation of about 0.14."""


class LatentHead(nn.Module):
    """The approximate posterior q(z | x) = N(mean, exp(log_variance)) of a VAE (Kingma & Welling, 2014).

    Some dimensions, such as principal components, have a mean from elsewhere. For these the head gives only
    log-variances, the same for all images, as in probabilistic PCA (Tipping & Bishop, 1999).

    Log-variances have a soft limit, 10 · tanh(raw / 10): almost the raw value in the usual range, with a gradient
    everywhere. They are at least float32, also under autocast, because they are exponentiated next. Initially they are
    INITIAL_LOG_VARIANCE for every image: with more noise, training would be slow until the mean exceeds the noise.

    Args:
        input_dim: D.
        latent_dim: L, number of dimensions whose mean is learned.
        fixed_dim: F, number of further dimensions, whose mean comes from elsewhere.
    """

    def __init__(self, input_dim: int, *, latent_dim: int, fixed_dim: int = 0) -> None:
        super().__init__()
        self.mean = nn.Linear(input_dim, latent_dim)
        self.log_variance = nn.Linear(input_dim, latent_dim)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, INITIAL_LOG_VARIANCE)
        self.fixed_log_variance = nn.Parameter(torch.full((fixed_dim,), INITIAL_LOG_VARIANCE)) if fixed_dim else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, D) to mean (B, L) and log-variance (B, L + F), the latter within ± LOG_VARIANCE_LIMIT."""
        raw = at_least_float32(self.log_variance(features))
        if self.fixed_log_variance is not None:
            raw = torch.cat([raw, self.fixed_log_variance.expand(raw.shape[0], -1)], dim=1)
        return at_least_float32(self.mean(features)), LOG_VARIANCE_LIMIT * torch.tanh(raw / LOG_VARIANCE_LIMIT)


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Transform standard normal noise (B, L) to N(mean, exp(log_variance)): mean + exp(½ log_variance) · noise.

    Raises:
        ValueError: The noise has another shape than the mean.

    Example:
        >>> reparameterise(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([-2.0]))
        tensor([-1.])
    """
    if noise.shape != mean.shape:
        raise ValueError(
            f"noise must have the shape {tuple(mean.shape)} of the mean, but it has {tuple(noise.shape)}; "
            "draw it with torch.randn(batch, latent_dim)"
        )
    return mean + torch.exp(0.5 * log_variance) * noise


def at_least_float32(values: Tensor) -> Tensor:
    """Convert half precision to float32 and keep float64: for the inputs of an exponential or a norm."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
