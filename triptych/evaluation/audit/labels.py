"""Labels that are probably wrong: where the classifier and the neighbours agree that an image is of another class.

Letters: N images, K classes, k neighbours.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.evaluation.audit.pool import Pool
from triptych.evaluation.audit.slips import count_slips

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
