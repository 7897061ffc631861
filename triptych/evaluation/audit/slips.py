"""How labels go wrong in a data set: how often, and which class is taken for which; the audit weighs its doubts by it.

Letters: N images, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

CORE = 0.2
"""Share of each class's images, those that the neighbours are surest of, on which slips are counted."""


class Slips(NamedTuple):
    """What goes wrong with labels."""

    rate: float
    """Share of the labels that are wrong."""
    chance: Tensor
    """(K, K): how likely an image of one class (row) carries the label of another (column); 0 on the diagonal."""


def count_slips(votes: Tensor, labels: Tensor) -> Slips:
    """Count wrong labels where there is no doubt of the class: among the images that their neighbours are surest of.

    Such images play the part of the anchor points of Patrini et al. (2017, "Making deep neural networks robust to label
    noise"): what else their labels say is a slip, and as frequent there as anywhere. An image has no vote on itself, so
    that its label does not decide whether it is counted.

    A slip may be a systematic one, T-shirt for shirt, or hit all classes alike; a few hundred counts in K(K - 1) cells
    are noisy. They are therefore drawn towards one common rate, the more, the less they differ beyond chance: each is a
    Poisson count, and the rates have a Gamma prior whose shape is estimated from the counts by its moments, at least 1
    (empirical Bayes, as in Efron & Morris 1975).

    Args:
        votes: What the neighbours say of each image's class, (N, K); rows sum to 1.
        labels: As given, (N,).

    Example:
        >>> votes = torch.eye(2, dtype=torch.float64).repeat_interleave(50, dim=0)
        >>> slips = count_slips(votes, torch.tensor([1] + [0] * 49 + [1] * 50))
        >>> slips.rate
        0.05
    """
    sureness, named = votes.max(dim=1)
    counts = torch.zeros(votes.shape[1], votes.shape[1], dtype=torch.float64)
    for label, images in enumerate(named.bincount(minlength=len(counts)).tolist()):
        rows = (named == label).nonzero()[:, 0]
        surest = rows[sureness[rows].argsort(descending=True, stable=True)[: -(-images // round(1 / CORE))]]
        counts[label] = labels[surest].bincount(minlength=len(counts)).double()
    elsewhere = ~torch.eye(len(counts), dtype=torch.bool)
    rate = float(counts[elsewhere].sum() / counts.sum())
    # Half a slip more than were seen: what has not been seen yet is not impossible.
    common = (counts[elsewhere].sum() + 0.5) / (counts.sum() + 1) / max(len(counts) - 1, 1)
    expected = (counts.sum(dim=1, keepdim=True) * common).expand_as(counts)
    spread = ((counts - expected).square() - expected)[elsewhere].sum()
    shape = expected[elsewhere].square().sum().div(spread).clamp(min=1.0) if spread > 0 else torch.tensor(torch.inf)
    chance = common * (1 + (counts - expected) / (expected + shape))
    return Slips(rate, torch.where(elsewhere, chance, 0.0))
