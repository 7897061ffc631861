"""Retrieval metrics where rows tie: expected values over all orders of the tied rows, in closed form.

A model that gives every image the same embedding ranks nothing. A sort would still produce some order, often that of
the file, and score it. Here each metric is the mean over all orders that the ties allow.

Letters: B queries of a chunk, G groups of tied rows. All are float64 with integer values, unless stated otherwise.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class TieGroups(NamedTuple):
    """Groups of rows that tie, as (B, G) or (B,); a group of size 0 is empty and has no effect."""

    size: Tensor
    """Rows in the group."""
    relevant: Tensor
    """Those of them that are of the query's class."""
    before: Tensor
    """Rows nearer to the query."""
    relevant_before: Tensor
    """Those of them that are of the query's class."""

    def at(self, index: Tensor | tuple[Tensor, Tensor]) -> "TieGroups":
        """Return the groups at an index."""
        return TieGroups(*(field[index] for field in self))


def expected_precision_at_1(found: TieGroups) -> Tensor:
    """Return the probability that the nearest row is relevant, from the first group (B,) with a relevant row; (B,)."""
    return torch.where(found.before == 0, found.relevant / found.size, 0.0)


def expected_hit(found: TieGroups, k: int) -> Tensor:
    """Return the probability of a relevant row among the first k, from the first group (B,) that has any; (B,).

    The m members of the group that are among the first k are drawn from it without replacement. With p of its n rows
    relevant, the probability that none of these is drawn is Π_{i<m} (n - p - i) / (n - i).
    """
    drawn = (k - found.before).clamp(min=0).minimum(found.size)[:, None]
    draw = torch.arange(int(drawn.max()), device=drawn.device)
    size, rest = found.size[:, None] - draw, (found.size - found.relevant)[:, None] - draw
    missed = torch.where(draw < drawn, rest.clamp(min=0) / size.clamp(min=1), 1.0)
    return 1 - missed.prod(dim=1)


def expected_reciprocal_rank(found: TieGroups) -> Tensor:
    """Return the mean of 1 / rank of the first relevant row, from the first group (B,) that has any; (B,).

    The first of the p relevant rows among n is at position j of the group, if not before, with probability
    p / (n - j + 1).
    """
    # A collapsed model has few distinct groups, and they are large.
    different, which = torch.unique(torch.stack(found[:3], dim=1), dim=0, return_inverse=True)
    size, relevant, before = different[:, :, None].unbind(dim=1)
    place = torch.arange(1, int((size - relevant).max()) + 2, dtype=size.dtype, device=size.device)
    here = (relevant / (size - place + 1).clamp(min=1)).clamp(max=1)
    not_before = (1 - here).cumprod(dim=1).roll(1, dims=1)
    not_before[:, 0] = 1
    expected: Tensor = (not_before * here / (before + place)).sum(dim=1)
    return expected[which]


def expected_precision_at_r(groups: TieGroups, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of R-precision, (relevant rows among the first R) / R, and of AP@R, (B,) each.

    AP@R is (1/R) Σ over the relevant ranks i ≤ R of (relevant rows up to i) / i. In a group of n rows, p of them
    relevant, after s rows with c relevant, rank s + t is relevant with probability p/n; the expected number of relevant
    rows up to it is then c + 1 + (t - 1) a, with a = (p - 1) / (n - 1). Over the m ranks of the group that are among
    the first R, (p/n) Σ (c + 1 + (t - 1) a) / (s + t) = (p/n) ((c + 1 - (s + 1) a) (H(s + m) - H(s)) + m a), with the
    harmonic numbers H(x) = digamma(x + 1) + constant.

    Args:
        groups: All groups with a row among the first R, (B, G).
        wanted: R of each query, (B,), at least 1.
    """
    size, relevant, before, relevant_before = groups
    inside = (wanted[:, None] - before).clamp(min=0).minimum(size)
    gained = relevant / size.clamp(min=1) * inside
    precision = gained * (relevant_before + 1) / (before + 1)  # without ties, m = n = p = 1
    tied = (size > 1) & (gained > 0)
    if tied.any():
        size, relevant, before, relevant_before = groups.at(tied)
        pace = (relevant - 1) / (size - 1)
        reciprocals = torch.digamma(before + inside[tied] + 1) - torch.digamma(before + 1)
        of_places = (relevant_before + 1 - (before + 1) * pace) * reciprocals + inside[tied] * pace
        precision[tied] = relevant / size * of_places
    return gained.sum(dim=1) / wanted, precision.sum(dim=1) / wanted
