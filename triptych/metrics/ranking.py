"""Ranking by scores: which of the nearest rows have the query's class, and which of them tie.

Letters: Q queries, G rows of the gallery, B queries of a chunk or of a part of it, n rows in a list of the nearest.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.metrics.inputs import require_labels
from triptych.metrics.similarity import Comparison, count_from, largest
from triptych.metrics.ties import TieGroups

SERIAL_ELEMENTS = 2**15
"""Up to this size PyTorch runs in one thread: starting others for every small operation costs more than it saves."""


class Relevance:
    """The rows of the gallery that have a query's class.

    Args:
        comparison: The comparison of the queries with the gallery.
        query_labels: (Q,) integers.
        gallery_labels: (G,) integers.

    Raises:
        ValueError: Labels are not one integer for each row.
    """

    def __init__(self, comparison: Comparison, query_labels: Tensor, gallery_labels: Tensor) -> None:
        require_labels("query_labels", query_labels, count=len(comparison.query))
        require_labels("gallery_labels", gallery_labels, count=len(comparison.gallery))
        self.comparison = comparison
        device = comparison.query.device
        _, numbers = torch.unique(torch.cat([gallery_labels.to(device), query_labels.to(device)]), return_inverse=True)
        self.of_gallery = numbers[: len(gallery_labels)]
        self.of_query = numbers[len(gallery_labels) :]
        size = self.of_gallery.bincount(minlength=int(numbers.max()) + 1)
        self.size = size[self.of_query]
        self.start = (size.cumsum(dim=0) - size)[self.of_query]
        self.by_class = self.of_gallery.argsort(stable=True)
        self.wanted = self.size - int(comparison.leaves_one_out)
        """(Q,): R, number of relevant rows of each query."""

    def relevant_scores(self, rows: Tensor, scores: Tensor) -> Tensor:
        """Return the (B, G) scores of rows of the query's class, (B, largest class), padded with -inf."""
        place = torch.arange(int(self.size[rows].max()), device=rows.device)
        members = (self.start[rows, None] + place).clamp(max=len(self.by_class) - 1)
        members = self.by_class.expand(len(rows), -1).gather(1, members)
        return scores.gather(1, members).masked_fill(place >= self.size[rows, None], -torch.inf)


def tie_groups(relevance: Relevance, rows: Tensor, scores: Tensor) -> Iterator[tuple[Tensor, TieGroups, TieGroups]]:
    """Rank the gallery by the (B, G) scores of a chunk of queries, each with at least one relevant row.

    Yields:
        For each part of the chunk: the queries; the groups (B, n) that contain the first R rows of each; and the first
        group (B,) that contains a row of its class.
    """
    # One rank more than is measured shows whether ties of the last one continue.
    listed = min(int(relevance.wanted[rows].max()) + 1, relevance.comparison.candidates)
    values, columns = largest(scores, listed)
    relevant = relevance.of_gallery[columns] == relevance.of_query[rows, None]
    few = max(1, SERIAL_ELEMENTS // listed) if scores.is_cpu else len(rows)
    for part in zip(*(whole.split(few) for whole in (rows, scores, values, relevant)), strict=True):
        yield part[0], *_groups(relevance, *part)


def _groups(
    relevance: Relevance, rows: Tensor, scores: Tensor, values: Tensor, relevant: Tensor
) -> tuple[TieGroups, TieGroups]:
    """Group the nearest rows, (B, n) values in descending order and whether they are relevant."""
    apart = values[:, :-1] - values[:, 1:] > relevance.comparison.tie_width(rows, values[:, :-1])
    groups = _runs(relevant, apart)
    has_any = groups.relevant > 0
    if values.shape[1] < relevance.comparison.candidates:  # then the last group may continue after the list
        cut = groups.before[:, -1] < relevance.wanted[rows]
        if cut.any():
            last = _tied_with(relevance, rows, scores, cut, values[:, -1:])
            groups.size[cut, -1], groups.relevant[cut, -1] = last.size, last.relevant
        has_any[:, -1] = cut & (groups.relevant[:, -1] > 0)
    first = groups.at((torch.arange(len(rows), device=rows.device), has_any.int().argmax(dim=1)))
    beyond = ~has_any.any(dim=1)
    if beyond.any():
        further = _tied_with(relevance, rows, scores, beyond, None)
        for field, value in zip(first, further, strict=True):
            field[beyond] = value
    return groups, first


def _runs(relevant: Tensor, apart: Tensor) -> TieGroups:
    """Split lists (B, n) into groups between neighbours that do not tie, `apart` (B, n - 1).

    A group is in the column of its last member.
    """
    place = torch.arange(relevant.shape[1], device=relevant.device)
    ends, begins = F.pad(apart, (0, 1), value=True), F.pad(apart, (1, 0), value=True)
    before = (place * begins).cummax(dim=1).values
    up_to = relevant.cumsum(dim=1)
    relevant_before = (up_to - relevant.long()).gather(1, before)
    fields = ((place + 1 - before) * ends, (up_to - relevant_before) * ends, before, relevant_before)
    return TieGroups(*(field.double() for field in fields))


def _tied_with(relevance: Relevance, rows: Tensor, scores: Tensor, chosen: Tensor, values: Tensor | None) -> TieGroups:
    """Count, over all (B, G) scores of the chosen queries (B,), the groups that tie with the values (B, 1).

    Without values, these are the scores of each query's best relevant row. Returns one group for each chosen query.
    """
    of_class = relevance.relevant_scores(rows, scores)
    values = of_class.amax(dim=1, keepdim=True) if values is None else values
    width = relevance.comparison.tie_width(rows, values)
    counts = []
    above = torch.nextafter(values + width, values.new_tensor(torch.inf))
    for floor in (above, values - width):
        counts.append(count_from(scores, chosen.nonzero()[:, 0], floor[chosen, 0]))
        counts.append((of_class >= floor).sum(dim=1)[chosen])
    before, relevant_before, up_to, relevant_up_to = torch.stack(counts).double()
    return TieGroups(up_to - before, relevant_up_to - relevant_before, before, relevant_before)
