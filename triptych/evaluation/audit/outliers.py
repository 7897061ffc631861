"""Outliers: images far from their neighbours, with an uncertain class and a large reconstruction error.

Letters: N images.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from triptych.evaluation.audit.pool import Pool

FAR_OUT = 2.0
"""Interquartile ranges beyond the third quartile from which a score is far out: 1 in 2,700 of a normal distribution."""

CLOSE_BY = 5
"""Number of neighbours for the mean distance."""


class Outliers(NamedTuple):
    """Outlier scores of each image, (N,) each."""

    score: Tensor
    """Mean of the standardised signals; the higher, the farther."""
    distance: Tensor
    """Mean Euclidean distance to the nearest neighbours in the latent space."""
    uncertainty: Tensor
    """Entropy of the classifier's probabilities, in nats."""
    likely: Tensor
    """Whether the score is an outlier."""


def find_outliers(pool: Pool) -> Outliers:
    """Combine three signals, each standardised by median and interquartile range, which are robust to outliers.

    They are the logarithm of the mean distance to the five nearest (Ramaswamy et al. 2000), the logarithm of the
    reconstruction error, and, by half, the classifier's entropy, which is large between two classes too.
    """
    distance = pool.distances[:, :CLOSE_BY].mean(dim=1)
    uncertainty = torch.special.entr(pool.probabilities).sum(dim=1)
    tiny = torch.finfo(torch.float64).tiny
    signals = [(_standardised(distance.clamp(min=tiny).log()), 1.0), (_standardised(uncertainty).clamp(max=3), 0.5)]
    if pool.error is not None:
        signals.append((_standardised(pool.error.clamp(min=tiny).log()), 1.0))
    score = sum((weight * signal for signal, weight in signals), torch.zeros_like(distance))
    score = score / sum(weight for _, weight in signals)
    low, high = torch.quantile(score, torch.tensor([0.25, 0.75], dtype=score.dtype))
    return Outliers(score, distance, uncertainty, score > high + FAR_OUT * (high - low))


def _standardised(values: Tensor) -> Tensor:
    low, middle, high = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75], dtype=values.dtype))
    scale = torch.clamp(high - low, min=1e-6 * float(values.abs().max().clamp(min=1e-12)))
    return torch.div(values - middle, scale)
