"""Label errors: images of which the classifier and the nearest neighbours agree that they have another class.

Letters: N images, K classes, k neighbours.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.evaluation.audit.pool import SPLITS, Pool
from triptych.metrics.intervals import wilson

LESS_DOUBT = 0.1
"""Reduction of doubt in nats for an image whose reconstruction error is one deviation above the others'."""

RELIABLE = 0.4
"""Minimum agreement beyond chance (Cohen's kappa) of labels and predictions outside the training set for a reliable
model: an accuracy of 46 % with ten equally frequent classes, of 70 % with two."""
RELIABLE_WHERE_SURE = 0.7
"""Minimum accuracy on the most confident fifth of these images."""
AS_RELIABLE = 0.75
"""Minimum ratio of its agreement beyond chance on all of these images to that on the most confident fifth: label errors
reduce both equally, a weak model agrees only with the most confident labels."""
ALMOST_ALL = 0.95
"""Accuracy on the most confident fifth from which that ratio is ignored, because few labels are doubted."""


@dataclass(frozen=True, eq=False)
class LabelDoubts:
    """Doubts about each label, (N,) each.

    Attributes:
        score: The higher, the more doubtful: the log odds that the label is an error, in nats, a little lower for
            images with a large reconstruction error.
        suggested: The most probable other class.
        classifier: The classifier's probability of the given label.
        agreement: The neighbours' vote for the given label, in [0, 1].
        likely: Whether the label is probably wrong; never if the model is not reliable.
        agreement_unseen: Share of the validation and test images whose label the model predicts.
        is_reliable: Whether that share is large enough to detect label errors.
    """

    score: Tensor
    suggested: Tensor
    classifier: Tensor
    agreement: Tensor
    likely: Tensor
    agreement_unseen: float
    is_reliable: bool

    def select(self, rows: Tensor) -> "LabelDoubts":
        """Return those of some images, (n,)."""
        return LabelDoubts(
            score=self.score[rows],
            suggested=self.suggested[rows],
            classifier=self.classifier[rows],
            agreement=self.agreement[rows],
            likely=self.likely[rows],
            agreement_unseen=self.agreement_unseen,
            is_reliable=self.is_reliable,
        )


def doubt_labels(pool: Pool) -> LabelDoubts:
    """Estimate the doubt about every label from three signals.

    The classifier's probabilities and the neighbours' vote are combined by their geometric mean (Hinton 2002, "products
    of experts"). A neighbour votes half for its label and half for its predicted classes, so that wrong labels do not
    confirm each other. An image with a large reconstruction error is more probably an outlier than a good image with a
    wrong label: its doubt is reduced slightly.

    The odds of an error are those of Bayes: the joint probability of each other class, times the probability that an
    image of that class has this label, over the joint probability of the label itself. Where all errors are equally
    frequent, that ranks by the joint probability of the label; where one class is often confused with another, such
    labels come first.

    Likely wrong are the most doubtful labels, as many as the estimated rate of errors implies, unless the label has the
    highest joint probability after all. No label is, where the model predicts the labels of too few images that it was
    not trained on: then most disagreements are errors of the model.
    """
    verdict, vote = _verdict(pool), votes(pool)
    errors = count_errors(vote, pool.labels)
    row = torch.arange(len(pool))
    given = verdict[row, pool.labels]
    others = verdict.scatter(1, pool.labels[:, None], 0.0)
    sureness, suggested = others.scatter(1, pool.labels[:, None], -1.0).max(dim=1)
    doubt = (others @ errors.chance)[row, pool.labels].log() - given.log()
    if pool.error is not None:
        error = pool.error.clamp(min=torch.finfo(torch.float64).tiny).log()
        doubt = doubt - LESS_DOUBT * (error - error.mean()) / error.std().clamp(min=1e-12)
    is_among_most_doubtful = doubt.argsort(descending=True, stable=True).argsort() < round(errors.rate * len(pool))
    agreement_unseen, is_reliable = _reliability(pool, verdict)
    return LabelDoubts(
        score=doubt,
        suggested=suggested,
        classifier=pool.probabilities[row, pool.labels],
        agreement=vote[row, pool.labels],
        likely=is_among_most_doubtful & (sureness > given) & is_reliable,
        agreement_unseen=agreement_unseen,
        is_reliable=is_reliable,
    )


def votes(pool: Pool) -> Tensor:
    """Return the neighbours' vote for each class, (N, K): rows sum to 1, no class is ruled out."""
    classes = pool.probabilities.shape[1]
    prior = pool.labels.bincount(minlength=classes).double() / len(pool)
    votes_of = F.one_hot(pool.labels, classes).double() + pool.probabilities
    votes = sum((votes_of[of] for of in pool.neighbours.unbind(dim=1)), torch.zeros_like(votes_of)) / 2
    return (votes + prior) / (pool.neighbours.shape[1] + 1)


def _reliability(pool: Pool, verdict: Tensor) -> tuple[float, bool]:
    """Return the accuracy of the joint prediction outside the training set, and whether it is sufficient."""
    unseen = pool.split != SPLITS.index("train")
    if not unseen.any():
        return 1.0, True
    sureness, predicted = verdict[unseen].max(dim=1)
    agrees = (predicted == pool.labels[unseen]).double()
    share, count = float(agrees.mean()), len(agrees)
    surest = float(agrees[sureness.argsort(descending=True, stable=True)][: -(-count // 5)].mean())
    # The agreement of independent labels and predictions: 0.82 for two classes of 90 and 10 %.
    frequent = [of.bincount(minlength=verdict.shape[1]).double() / count for of in (pool.labels[unseen], predicted)]
    chance = float((frequent[0] * frequent[1]).sum())
    beyond, beyond_where_sure = share - chance, surest - chance
    is_reliable = (
        beyond >= RELIABLE * (1 - chance)
        and wilson(share, count).low > chance
        and surest >= RELIABLE_WHERE_SURE
        and (surest >= ALMOST_ALL or beyond >= AS_RELIABLE * beyond_where_sure)
    )
    return share, is_reliable


def _verdict(pool: Pool) -> Tensor:
    """Return the joint probabilities, (N, K)."""
    tiny = torch.finfo(torch.float32).tiny
    return ((pool.probabilities.clamp(min=tiny).log() + votes(pool).clamp(min=tiny).log()) / 2).softmax(dim=1)


CORE = 0.2
"""Share of each class's images, those with the largest vote, that are used to count label errors."""


class LabelErrors(NamedTuple):
    """Estimated rates of label errors."""

    rate: float
    """Share of the labels that are wrong."""
    chance: Tensor
    """(K, K): probability that an image of one class (row) has the label of another (column); 0 on the diagonal."""


def count_errors(votes: Tensor, labels: Tensor) -> LabelErrors:
    """Estimate the rate of label errors from the images with the clearest votes of their neighbours.

    Such images are the anchor points of Patrini et al. (2017, "Making deep neural networks robust to label
    noise"): any other label there is an error, and as frequent as elsewhere. An image has no vote on itself, so that
    its label does not decide whether it is counted.

    Errors may be systematic, T-shirt for shirt, or hit all classes alike; a few hundred counts in K(K - 1) cells are
    noisy. They are therefore shrunk towards one common rate, the more, the less they differ beyond chance: each is a
    Poisson count, and the rates have a Gamma prior whose shape is estimated from the counts by its moments, at least 1
    (empirical Bayes, as in Efron & Morris 1975).

    Args:
        votes: The neighbours' vote for each class, (N, K); rows sum to 1.
        labels: The given labels, (N,).

    Example:
        >>> votes = torch.eye(2, dtype=torch.float64).repeat_interleave(50, dim=0)
        >>> errors = count_errors(votes, torch.tensor([1] + [0] * 49 + [1] * 50))
        >>> errors.rate
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
    # Half a count is added, so that unobserved errors have a non-zero rate.
    common = (counts[elsewhere].sum() + 0.5) / (counts.sum() + 1) / max(len(counts) - 1, 1)
    expected = (counts.sum(dim=1, keepdim=True) * common).expand_as(counts)
    spread = ((counts - expected).square() - expected)[elsewhere].sum()
    shape = expected[elsewhere].square().sum().div(spread).clamp(min=1.0) if spread > 0 else torch.tensor(torch.inf)
    chance = common * (1 + (counts - expected) / (expected + shape))
    return LabelErrors(rate, torch.where(elsewhere, chance, 0.0))
