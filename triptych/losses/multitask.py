"""The weighted sum of several losses of one model, which training minimises."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych.losses.triplet import TripletStatistics


class LossBreakdown(NamedTuple):
    """The loss of a training step and its terms."""

    total: Tensor
    """The weighted sum, a scalar with gradient, at least float32."""
    terms: dict[str, Tensor]
    """All terms by name, unweighted and detached, for the log."""
    weighted: dict[str, Tensor]
    """The weighted terms of positive weight, with gradients."""
    statistics: dict[str, TripletStatistics]
    """The statistics of the triplet terms, by name."""


class MultiTaskLoss(nn.Module):
    """A weighted sum of losses: total = Σ weight · factor · loss. Each loss is a scalar.

    A term of weight zero is omitted, not multiplied by zero: it has no gradient and no effect even if it is not finite.
    It is still reported.

    A loss lists its inputs in its attribute `inputs`, such as `("embedding", "label")`. A loss with the methods
    `per_image`, from its inputs to errors (B,), and `reduce`, from these to a scalar, exchanges only its errors
    between processes, not its inputs. A loss with the method `measure` returns `TripletStatistics`.

    Args:
        terms: Each loss and its weight (at least 0), by name.

    Raises:
        ValueError: A weight is negative or not finite, or all of them are zero.

    Example:
        >>> from triptych.losses import ClassificationLoss, KLDivergenceLoss
        >>> loss = MultiTaskLoss({"classification": (ClassificationLoss(), 1.0), "kl": (KLDivergenceLoss(), 0.1)})
        >>> label = torch.tensor([0, 1])
        >>> outputs = {"logits": torch.eye(2) * 9, "label": label, "mean": torch.ones(2, 4)}
        >>> outputs["log_variance"] = torch.zeros(2, 4)
        >>> loss(loss.rows(outputs)).terms["kl"]
        tensor(2.)
    """

    def __init__(self, terms: Mapping[str, tuple[nn.Module, float]]) -> None:
        super().__init__()
        self.weights = _checked({name: weight for name, (_, weight) in terms.items()})
        self.losses = nn.ModuleDict({name: loss for name, (loss, _) in terms.items()})

    def rows(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the per-image inputs of the terms: tensors (B, ...), to be gathered from all processes.

        Args:
            outputs: Inputs of the losses by name, (B, ...) each.
        """
        rows: dict[str, Tensor] = {}
        for name, loss in self._named():
            inputs = {key: outputs[key] for key in loss.inputs}
            rows |= {_errors(name): loss.per_image(*inputs.values())} if hasattr(loss, "per_image") else inputs
        return rows

    def forward(self, rows: Mapping[str, Tensor], factors: Mapping[str, float] | None = None) -> LossBreakdown:
        """Compute the weighted sum of the losses of a batch.

        Args:
            rows: The result of `rows`, for all images of the batch.
            factors: Factors of the weights at this step, by name (see `warmup_factor`); 1 by default. A factor of zero
                is multiplied, so that the parameters stay in the graph at the start of a warm-up.

        Raises:
            ValueError: A loss is not a scalar.
        """
        factors, terms, statistics = factors or {}, {}, {}
        for name, loss in self._named():
            if hasattr(loss, "per_image"):
                term = loss.reduce(rows[_errors(name)])
            elif hasattr(loss, "measure"):
                statistics[name] = loss.measure(*(rows[key] for key in loss.inputs))
                term = statistics[name].loss
            else:
                term = loss(*(rows[key] for key in loss.inputs))
            if term.ndim != 0:
                raise ValueError(
                    f"losses must be scalars, but {name} has the shape {tuple(term.shape)}; reduce it first"
                )
            terms[name] = term.to(torch.promote_types(term.dtype, torch.float32))
        weighted = {
            name: weight * factors.get(name, 1.0) * terms[name] for name, weight in self.weights.items() if weight > 0
        }
        total = torch.stack(list(weighted.values())).sum()
        return LossBreakdown(total, {name: term.detach() for name, term in terms.items()}, weighted, statistics)

    def _named(self) -> Iterator[tuple[str, Any]]:
        yield from self.losses.items()

    def extra_repr(self) -> str:
        """Return the weights, for `print(loss)`."""
        return ", ".join(f"{name}: {weight}" for name, weight in self.weights.items())


def _errors(name: str) -> str:
    return f"{name}.errors"


def _checked(weights: dict[str, float]) -> dict[str, float]:
    """Return the weights by term, or raise ValueError if they are invalid."""
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
