"""Labels that are probably wrong: where the classifier and the neighbours agree that an image is of another class.

Letters: N images, K classes, k neighbours.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.evaluation.audit.pool import Pool

PAINTED_WELL = 0.1
"""Nats of doubt less for an image whose reconstruction error is one deviation above the others'."""


@dataclass(frozen=True, eq=False)
class LabelDoubts:
    """How doubtful each label is, (N,) each.

    Attributes:
        score: The higher, the more doubtful: the log odds that the label is a slip, in nats, less a little for images
            that the decoder repaints badly.
        suggested: The class that the joint verdict prefers among the others.
        classifier: The classifier's probability of the given label.
        agreement: The neighbours' vote for the given label, in [0, 1].
        likely: Whether the label is probably wrong.
    """

    score: Tensor
    suggested: Tensor
    classifier: Tensor
    agreement: Tensor
    likely: Tensor


def doubt_labels(pool: Pool) -> LabelDoubts:
    """Judge every label by three signals.

    The classifier's probabilities and the neighbours' vote are joined as two experts who each may be wrong, by their
    geometric mean (Hinton 2002, "products of experts"). A neighbour votes half for its label and half for what the
    classifier sees in it, so that wrong labels do not vouch for each other. An image that the decoder repaints badly is
    rather an outlier than a good image with a wrong label: its doubt counts a little less.

    The odds of a slip are those of Bayes: what the verdict gives to each other class, times the chance that an image of
    that class carries this label, over what it gives to the label itself. Where all slips are equally frequent, that
    ranks by the verdict's probability of the label; where one class is often mistaken for another, such labels lead.

    Likely wrong are the most doubtful labels, as many as the rate of slips implies, unless the verdict prefers the
    label after all.
    """
    verdict, vote = _verdict(pool), votes(pool)
    slips = count_slips(vote, pool.labels)
    row = torch.arange(len(pool))
    given = verdict[row, pool.labels]
    others = verdict.scatter(1, pool.labels[:, None], 0.0)
    sureness, suggested = others.scatter(1, pool.labels[:, None], -1.0).max(dim=1)
    doubt = (others @ slips.chance)[row, pool.labels].log() - given.log()
    if pool.error is not None:
        error = pool.error.clamp(min=torch.finfo(torch.float64).tiny).log()
        doubt = doubt - PAINTED_WELL * (error - error.mean()) / error.std().clamp(min=1e-12)
    is_among_most_doubtful = doubt.argsort(descending=True, stable=True).argsort() < round(slips.rate * len(pool))
    return LabelDoubts(
        score=doubt,
        suggested=suggested,
        classifier=pool.probabilities[row, pool.labels],
        agreement=vote[row, pool.labels],
        likely=is_among_most_doubtful & (sureness > given),
    )


def votes(pool: Pool) -> Tensor:
    """Return the neighbours' vote for each class, (N, K): rows sum to 1, no class is ruled out."""
    classes = pool.probabilities.shape[1]
    prior = pool.labels.bincount(minlength=classes).double() / len(pool)
    said = F.one_hot(pool.labels, classes).double() + pool.probabilities
    votes = sum((said[of] for of in pool.neighbours.unbind(dim=1)), torch.zeros_like(said)) / 2
    return (votes + prior) / (pool.neighbours.shape[1] + 1)


def _verdict(pool: Pool) -> Tensor:
    """Return the joint probabilities, (N, K)."""
    tiny = torch.finfo(torch.float32).tiny
    return ((pool.probabilities.clamp(min=tiny).log() + votes(pool).clamp(min=tiny).log()) / 2).softmax(dim=1)


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
