"""Weights of the losses that are learned with the model: for those who would rather not choose them."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

LEAST_LOG_VARIANCE = -5.0
"""A loss that reaches zero would be weighted without end; this bounds its weight to exp(5), about 150."""


class UncertaintyWeights(nn.Module):
    """Weigh each loss by a learned variance: exp(-s) · loss + ½ s, with s = log variance (Kendall et al., 2018).

    At its minimum s is log(2 · loss): each loss is divided by twice its own size, so that losses of any scale pull
    alike, and one that shrinks keeps its pull. For losses of at least 0: a negative one would send s down for ever.

    Args:
        names: the losses. Their s begin at 0, a weight of one.

    Example:
        >>> weights = UncertaintyWeights(["triplet"])
        >>> weights({"triplet": torch.tensor(0.5), "kl": torch.tensor(3.0)})["kl"]  # not one of its losses: as it came
        tensor(3.)
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.log_variances = nn.ParameterDict({name: torch.zeros(()) for name in names})

    def forward(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map scalars by name to the same, balanced; a name that was not given at the start passes unchanged."""
        return {
            name: self._balanced(term, self.log_variances[name]) if name in self.log_variances else term
            for name, term in terms.items()
        }

    @staticmethod
    def _balanced(term: Tensor, log_variance: Tensor) -> Tensor:
        log_variance = log_variance.clamp_min(LEAST_LOG_VARIANCE)
        return torch.exp(-log_variance) * term + 0.5 * log_variance
