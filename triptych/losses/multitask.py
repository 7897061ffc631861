"""The losses of a training step, weighted into the one number that is minimised: for the training modules."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.losses.uncertainty import UncertaintyWeights


class LossBreakdown(NamedTuple):
    """A training step's loss and what it is made of."""

    total: Tensor
    """The weighted sum, a scalar to be differentiated, float32 at least."""
    terms: dict[str, Tensor]
    """Every term by name, unweighted and detached: for the log."""
    weighted: dict[str, Tensor]
    """The terms of positive weight as they enter the sum, to be differentiated one by one."""


class MultiTaskLoss(nn.Module):
    """Multi-task mode: the three panels and the prior of the latent, each a scalar, in a weighted sum.

    total = triplet_weight · triplet + classification_weight · classification + reconstruction_weight · reconstruction
    + kl_weight · kl_factor · kl. A term of weight zero is left out, not multiplied by zero: it has no gradient, and
    no harm comes of it where it is not finite. It is still reported.

    Args:
        triplet_weight: weight of the triplet loss, of at least 0, as are all.
        classification_weight: weight of the cross-entropy.
        reconstruction_weight: weight of the reconstruction error, a mean per pixel.
        kl_weight: weight of the KL divergence, a sum over latent dimensions.
        balanced: terms, by name, that are weighed by a learned uncertainty as well (see `UncertaintyWeights`).

    Raises:
        ValueError: a weight is negative or not finite, or all of them are zero.

    Example:
        >>> triplet, classification, reconstruction, kl = torch.tensor([0.2, 2.0, 0.1, 30.0])
        >>> MultiTaskLoss(kl_weight=0.01)(triplet, classification, reconstruction, kl, kl_factor=0.5).total
        tensor(2.4500)
    """

    def __init__(
        self,
        *,
        triplet_weight: float = 1.0,
        classification_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        kl_weight: float = 1.0,
        balanced: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.weights = _checked(
            {
                "triplet": triplet_weight,
                "classification": classification_weight,
                "reconstruction": reconstruction_weight,
                "kl": kl_weight,
            }
        )
        # A term that is left out would leave its uncertainty without a gradient.
        self.balance = UncertaintyWeights([name for name in balanced if self.weights[name]]) if balanced else None

    def forward(
        self, triplet: Tensor, classification: Tensor, reconstruction: Tensor, kl: Tensor, kl_factor: float = 1.0
    ) -> LossBreakdown:
        """Weigh four scalars; `kl_factor` multiplies the KL weight at this step (see `warmup_factor`).

        Raises:
            ValueError: a term is not a scalar.
        """
        terms = {"triplet": triplet, "classification": classification, "reconstruction": reconstruction, "kl": kl}
        return _weighted_sum(terms, self.weights, factors={"kl": kl_factor}, balance=self.balance)

    def extra_repr(self) -> str:
        """The weights, for `print(loss)`."""
        return ", ".join(f"{name}_weight={weight}" for name, weight in self.weights.items())


class SimpleLoss(nn.Module):
    """Simple mode: total = triplet + classifier_weight · classification, each a scalar.

    A classifier weight of zero leaves the classification out, as in `MultiTaskLoss`.

    Args:
        classifier_weight: weight of the cross-entropy beside the triplet loss, of at least 0.

    Raises:
        ValueError: the weight is negative or not finite.
    """

    def __init__(self, *, classifier_weight: float = 1.0) -> None:
        super().__init__()
        self.weights = _checked({"triplet": 1.0, "classification": classifier_weight})

    def forward(self, triplet: Tensor, classification: Tensor) -> LossBreakdown:
        """Weigh two scalars.

        Raises:
            ValueError: a term is not a scalar.
        """
        return _weighted_sum({"triplet": triplet, "classification": classification}, self.weights)

    def extra_repr(self) -> str:
        """The weight, for `print(loss)`."""
        return f"classifier_weight={self.weights['classification']}"


def _checked(weights: dict[str, float]) -> dict[str, float]:
    """Return the weights by term, or raise ValueError where they cannot make a loss."""
    for name, weight in weights.items():
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(
                f"loss weights must be finite numbers of at least 0, but that of {name} is {weight}; "
                "0 leaves a term out"
            )
    if not any(weights.values()):
        raise ValueError(
            f"at least one loss weight must be above 0, but those of {', '.join(weights)} are all 0; "
            "nothing would be learned: raise one"
        )
    return weights


def _weighted_sum(
    terms: Mapping[str, Tensor],
    weights: Mapping[str, float],
    factors: Mapping[str, float] | None = None,
    balance: UncertaintyWeights | None = None,
) -> LossBreakdown:
    """Sum the terms of positive weight, balanced, each times its weight and its factor (1 where none is given).

    A factor of zero does multiply, so that the total stays connected to what is being trained while a warm-up begins.
    """
    factors = factors or {}
    for name, term in terms.items():
        if term.ndim != 0:
            raise ValueError(
                f"loss terms must be scalars, but {name} has the shape {tuple(term.shape)}; reduce it first"
            )
    terms = {name: term.to(torch.promote_types(term.dtype, torch.float32)) for name, term in terms.items()}
    kept = {name: term for name, term in terms.items() if weights[name] > 0}
    if balance is not None:
        kept = balance(kept)
    weighted = {name: weights[name] * factors.get(name, 1.0) * term for name, term in kept.items()}
    total = torch.stack(list(weighted.values())).sum()
    return LossBreakdown(total, {name: term.detach() for name, term in terms.items()}, weighted)
