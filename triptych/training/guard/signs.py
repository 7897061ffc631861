"""The signs that distinguish a healthy run from a collapsed one, and how they are measured: for the collapse guard.

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
    """What a run learns: its signs are read accordingly."""

    num_classes: int
    """K."""
    margin: float | None
    """Of the triplet loss; None is the soft margin."""
    mining: str
    """How triplets are found, as `training.triplet_mining` has it."""
    weights: Mapping[str, float]
    """The weight of every loss in the config, by the name of its term."""
    is_multitask: bool
    """Whether there is a latent, and a decoder."""
    chance: float = 0.0
    """Validation accuracy that guessing stays below: the share of the largest class and three standard errors."""

    @property
    def triplet_limit(self) -> float:
        """The triplet loss where all distances are equal: the margin, or ln 2."""
        return math.log(2) if self.margin is None else self.margin

    def trains(self, term: str) -> bool:
        """Return whether a loss has a weight."""
        return self.weights.get(term, 0.0) > 0


@dataclass(frozen=True)
class LatentSigns:
    """How much information the latent has about an image, on validation images."""

    kl_per_dimension: float
    """Nats, the mean over images and dimensions."""
    active_units: int
    """Dimensions whose mean differs between images (Burda et al. 2016)."""
    dimensions: int
    """L."""

    @property
    def kl(self) -> float:
        """Nats of all dimensions: an upper bound of the information in a sample of the latent."""
        return self.kl_per_dimension * self.dimensions


@dataclass(frozen=True)
class Signs:
    """What is measured at the end of an epoch; NaN where there was nothing to measure."""

    steps: int
    """Training steps so far."""
    active_fraction: float
    """Share of the triplets that was active, the mean over the epoch's training batches that had any."""
    without_triplets: float
    """Share of the epoch's training batches that had none."""
    losses: Mapping[str, float]
    """The epoch's last training step: the terms, unweighted."""
    gradient_shares: Mapping[str, float]
    """The same step: |g| of each weighted term over the sum of all, where the gradients meet; maybe empty."""
    spread: float
    """Validation images: standard deviation of the embeddings in units of 1/√E, from 0 (a point) to 1."""
    effective_rank: float
    """Validation images: number of dimensions that the embeddings use (Roy & Vetterli 2007)."""
    separation: float
    """Validation images: share of the embeddings' variance that lies between the classes, less what chance gives."""
    latent: LatentSigns | None
    """Of the multi-task mode."""
    accuracy: float
    """Of all validation images: the share of correctly classified ones."""
    separation_by_chance: float = 0.0
    """The separation that so few images reach by chance in one epoch of a thousand."""

    def numbers(self, task: Task) -> dict[str, float]:
        """Return what is logged, by name: the triplet loss in units of its limit, the rest as it is."""
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
    """Return the share of the embeddings' variance that lies between the classes, less what chance gives.

    Kelley's ε² (1935), the adjusted R² of the class means: 1 where every class is a point of its own, about 0, and
    sometimes below, where the embeddings do not depend on the labels, whatever their number.

    Args:
        embeddings: (B, E).
        labels: (B,), from 0.

    Returns:
        At most 1; NaN where all embeddings are the same, or no class has two.

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

    The share of the variance between the classes has then a beta distribution, as R² has in a regression on noise.

    Args:
        images: B.
        classes: K.
        dimensions: That the embeddings use: their effective rank.

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
    """Return the squared norm of each term's gradient where the terms' gradients meet.

    Nothing is added to any parameter's gradient, and the graph stays whole.

    Args:
        weighted: Scalars with a graph, T of them.
        shared: Tensors that they depend on.
        scale: Factor of all gradients, so that half precision does not lose small ones on the way.

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
    """Return each gradient's norm over the sum of all norms; nothing where they are all 0, or one is not finite."""
    norms = [math.sqrt(square) for square in squared_norms]
    total = sum(norms)
    if not (0 < total < math.inf):
        return {}
    return {name: norm / total for name, norm in zip(names, norms, strict=True)}
