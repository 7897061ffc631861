"""The signs that distinguish a healthy run from a collapsed one, and their computation, for the collapse guard.

Letters: B images, E embedding dimension, K classes, L latent dimension.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.metrics.latent import active_units, kl_per_image


@dataclass(frozen=True)
class Task:
    """The task of a run, which determines how its signs are interpreted."""

    num_classes: int
    """K."""
    margin: float | None
    """Margin of the triplet loss; None is the soft margin."""
    mining: str
    """The value of `training.triplet_mining`."""
    weights: Mapping[str, float]
    """Weight of every loss in the config, by the name of its term."""
    is_multitask: bool
    """Whether there is a latent, and a decoder."""
    chance: float = 0.0
    """Upper bound of chance accuracy: the share of the largest class plus three standard errors."""

    @property
    def triplet_limit(self) -> float:
        """The triplet loss if all distances are equal: the margin, or ln 2."""
        return math.log(2) if self.margin is None else self.margin

    def trains(self, term: str) -> bool:
        """Return whether a loss has a positive weight."""
        return self.weights.get(term, 0.0) > 0


@dataclass(frozen=True)
class LatentSigns:
    """Information in the latent about an image, on validation images."""

    kl_per_dimension: float
    """Nats, the mean over images and dimensions."""
    active_units: int
    """Number of active dimensions, whose mean differs between images (Burda et al. 2016)."""
    dimensions: int
    """L."""

    @property
    def kl(self) -> float:
        """Nats of all dimensions: an upper bound of the information in a sample of the latent."""
        return self.kl_per_dimension * self.dimensions


@dataclass(frozen=True)
class Signs:
    """Measurements at the end of an epoch; NaN if there was nothing to measure."""

    steps: int
    """Number of training steps so far."""
    active_fraction: float
    """Share of active triplets, the mean over the epoch's training batches that had any."""
    without_triplets: float
    """Share of the epoch's training batches without triplets."""
    losses: Mapping[str, float]
    """The epoch's last training step: the terms, unweighted."""
    gradient_shares: Mapping[str, float]
    """The same step: |g| of each weighted term over the sum of all, at the tensor that they share; may be empty."""
    spread: float
    """Validation images: standard deviation of the embeddings in units of 1/√E, from 0 (a point) to 1."""
    effective_rank: float
    """Validation images: number of dimensions that the embeddings use (Roy & Vetterli 2007)."""
    separation: float
    """Validation images: share of the embeddings' variance between the classes, corrected for chance."""
    latent: LatentSigns | None
    """Signs of the latent in multi-task mode."""
    accuracy: float
    """Accuracy on all validation images."""
    separation_by_chance: float = 0.0
    """The separation that this number of images reaches by chance in one epoch of a thousand."""

    def numbers(self, task: Task) -> dict[str, float]:
        """Return the logged values by name: the triplet loss in units of its limit, the others unchanged."""
        latent = {}
        if self.latent is not None:
            latent = {"kl_per_dimension": self.latent.kl_per_dimension, "active_units": float(self.latent.active_units)}
        return {
            "triplet_of_margin": self.losses["triplet"] / task.triplet_limit,
            "active_fraction": self.active_fraction,
            "without_triplets": self.without_triplets,
            "spread": self.spread,
            "effective_rank": self.effective_rank,
            "separation": self.separation,
            **latent,
            **{f"gradient_share_{name}": share for name, share in self.gradient_shares.items()},
        }


def separation(embeddings: Tensor, labels: Tensor) -> float:
    """Return the share of the embeddings' variance between the classes, corrected for chance.

    Kelley's ε² (1935), the adjusted R² of the class means: 1 if every class is a separate point; about 0, and sometimes
    below, if the embeddings do not depend on the labels, whatever their number.

    Args:
        embeddings: (B, E).
        labels: (B,), from 0.

    Returns:
        At most 1; NaN if all embeddings are the same, or no class has two images.

    Example:
        >>> separation(torch.tensor([[0.0], [0.0], [3.0], [3.0]]), torch.tensor([0, 0, 1, 1]))
        1.0
    """
    classes, class_of, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) == len(labels):
        return math.nan
    points = embeddings.double()
    sums = points.new_zeros(len(classes), points.shape[1]).index_add_(0, class_of, points)
    within = (points - (sums / counts[:, None])[class_of]).square().sum() / (len(labels) - len(classes))
    total = (points - points.mean(dim=0)).square().sum() / (len(labels) - 1)
    return float(1 - within / total)


def separation_by_chance(*, images: int, classes: int, dimensions: float) -> float:
    """Return three standard errors of the `separation` of embeddings that do not depend on the labels.

    The share of the variance between the classes then has a beta distribution, as R² has in a regression on noise.

    Args:
        images: B.
        classes: K.
        dimensions: Effective rank of the embeddings.

    Example:
        >>> round(separation_by_chance(images=144, classes=40, dimensions=3.0), 2)
        0.13
        >>> round(separation_by_chance(images=2000, classes=10, dimensions=3.0), 3)
        0.004
    """
    if not (classes < images and dimensions >= 1):
        return 0.0
    mean = (classes - 1) / (images - 1)
    variance = mean * (1 - mean) / ((images - 1) * dimensions / 2 + 1)
    return 3 * math.sqrt(variance) * (images - 1) / (images - classes)


def latent_signs(mean: Tensor, log_variance: Tensor) -> LatentSigns:
    """Measure the information in a latent, from mean and log-variance of the posterior, (B, L) each."""
    kl = kl_per_image(mean, log_variance).mean()
    return LatentSigns(float(kl), int(active_units(mean).sum()), mean.shape[1])


def squared_gradients(weighted: Mapping[str, Tensor], shared: Sequence[Tensor], *, scale: Tensor) -> Tensor:
    """Return the squared norm of each term's gradient with respect to the tensors that the terms share.

    No parameter's gradient changes, and the graph is kept.

    Args:
        weighted: T scalars with a graph.
        shared: Tensors that all of them depend on.
        scale: Factor of all gradients, so that small ones do not underflow in half precision.

    Returns:
        (T,) float32.
    """
    squares = []
    for term in weighted.values():
        gradients = torch.autograd.grad(term, shared, scale.to(term.dtype), retain_graph=True, allow_unused=True)
        parts = [gradient.float().square().sum() for gradient in gradients if gradient is not None]
        squares.append(torch.stack(parts).sum() if parts else torch.zeros_like(scale, dtype=torch.float32))
    return torch.stack(squares)


def shares(names: Sequence[str], squared_norms: Sequence[float]) -> dict[str, float]:
    """Return each gradient's norm over the sum of all norms; empty if all are 0 or one is not finite."""
    norms = [math.sqrt(square) for square in squared_norms]
    total = sum(norms)
    if not (0 < total < math.inf):
        return {}
    return {name: norm / total for name, norm in zip(names, norms, strict=True)}
