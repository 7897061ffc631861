"""Information in the VAE's latent: divergence from the prior, active units, evidence lower bound.

Letters: N images, L latent dimension.
"""

import math

from torch import Tensor

from triptych.metrics.inputs import in_double, require_matrix, require_same_shape, require_whole_number

ACTIVE_VARIANCE = 0.01
"""Variance of a dimension's posterior mean over the images above which it is active (Burda et al. 2016)."""


def active_units(mean: Tensor) -> Tensor:
    """Return which latent dimensions are active: Var_x(E[z | x]) > 0.01 (Burda et al. 2016, section 5.2).

    Args:
        mean: Posterior means, (N, L).

    Returns:
        (L,) bool; none is active with a single image.

    Raises:
        ValueError: The means are not a finite matrix.

    Example:
        >>> import torch
        >>> active_units(torch.tensor([[0.0, 1.0], [0.01, -1.0]])).tolist()
        [False, True]
    """
    require_matrix("mean", mean)
    return in_double(mean).var(dim=0, correction=0) > ACTIVE_VARIANCE


def kl_per_image(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of each image's posterior from the standard normal, in nats, per dimension.

    ½ (mean² + variance - 1 - log variance), as in Kingma & Welling 2014, appendix B.

    Args:
        mean: Posterior means, (N, L).
        log_variance: Posterior log-variances, (N, L), natural logarithms.

    Returns:
        (N, L) float64: the sum over L is that of an image, the mean over N that of a dimension.

    Raises:
        ValueError: The shapes differ or are not (N, L).

    Example:
        >>> import torch
        >>> kl_per_image(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).tolist()
        [[0.5, 0.0]]
    """
    require_same_shape({"mean": mean, "log_variance": log_variance}, letters="(N, L)")
    mean, log_variance = in_double(mean), in_double(log_variance)
    # expm1 keeps the digits that exp(x) - 1 loses near the prior.
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance)


def evidence_lower_bound(squared_error: Tensor, kl: Tensor, *, pixels: int) -> float:
    """Return the lower bound of the log-likelihood of an image in nats, the mean over the images.

    E_q[log p(x | z)] - KL(q(z | x) || p(z)), where p(x | z) is Gaussian around the reconstruction, with one variance
    for all pixels and images. The best variance is the mean squared error itself ("sigma-VAE", Rybkin et al. 2021),
    which makes the first term -P/2 (log(2π mse) + 1). It is the logarithm of a density over pixels in [0, 1], which may
    be positive, and is comparable only between models of the same images. Infinite if the error is zero.

    Args:
        squared_error: Mean squared error of each image, reconstructed from a sample of its posterior; (N,).
        kl: KL divergence of each image, in nats, (N,).
        pixels: P, number of values in an image: C · H · W.

    Raises:
        ValueError: The shapes differ or are not (N,), or pixels is not an integer above 0.

    Example:
        >>> import torch
        >>> evidence_lower_bound(torch.tensor([0.01]), torch.tensor([3.0]), pixels=2)  # -log(2π 0.01) - 1 - 3
        -1.2327...
    """
    require_same_shape({"squared_error": squared_error, "kl": kl}, letters="(N,)")
    require_whole_number("pixels", pixels, least=1)
    error, divergence = float(in_double(squared_error).mean()), float(in_double(kl).mean())
    if error == 0:
        return math.inf
    return -pixels / 2 * (math.log(2 * math.pi * error) + 1) - divergence
