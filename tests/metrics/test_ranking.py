import pytest
import torch

from triptych.metrics.ranking import Relevance, tie_groups
from triptych.metrics.similarity import compare


def ranked(gallery, gallery_labels, query=0.0):
    """The groups of one query of class 1 on a line, as lists without the empty ones, and its first relevant group."""
    comparison = compare(torch.tensor([[query]]), torch.tensor(gallery)[:, None], distance="euclidean")
    relevance = Relevance(comparison, torch.tensor([1]), torch.tensor(gallery_labels))
    ((rows, scores),) = comparison.chunks(torch.tensor([0]), None)
    ((_, groups, first),) = tie_groups(relevance, rows, scores)
    taken = groups.at(groups.size > 0)
    return torch.stack(taken, dim=1).tolist(), torch.stack(first, dim=1)[0].tolist()


def test_groups_are_counted_whole_although_only_the_first_r_rows_are_listed():
    # R = 1; four rows tie for the first place, one of them relevant.
    groups, first = ranked([1.0, -1.0, 5.0, 1.0, -1.0], [0, 1, 0, 0, 0])
    assert groups[0] == [4, 1, 0, 0]
    assert first == [4, 1, 0, 0]


def test_the_first_relevant_group_is_found_behind_the_list():
    # R = 2, so three rows are listed; the relevant ones tie with another behind them.
    groups, first = ranked([1.0, 2.0, 3.0, -4.0, 4.0, 4.0, 9.0], [0, 0, 0, 1, 1, 2, 2])
    assert groups[:2] == [[1, 0, 0, 0], [1, 0, 1, 0]]
    assert first == [3, 2, 3, 0]


def test_a_list_of_everything_is_not_looked_behind():
    groups, first = ranked([1.0, 1.0, 2.0], [1, 1, 1])
    assert groups == [[2, 2, 0, 0], [1, 1, 2, 2]]
    assert first == [2, 2, 0, 0]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_relevant_scores_are_those_of_the_class_filled_up_to_the_largest(count):
    labels = torch.tensor([2, 0, 2, 5, 2, 0, 5])
    comparison = compare(torch.randn(count, 3), torch.randn(7, 3), distance="cosine")
    relevance = Relevance(comparison, labels[:count], labels)
    scores, rows = torch.randn(count, 7).double(), torch.arange(count)
    for row, found in zip(rows, relevance.relevant_scores(rows, scores), strict=True):
        own = scores[row][labels == labels[row]]
        assert found[found > -torch.inf].tolist() == own.tolist()
        assert relevance.wanted[row] == len(own)
