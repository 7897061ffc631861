import pytest
import torch
import torch.nn.functional as F

from triptych.metrics.similarity import compare, largest, scale_to_unit_length


def rows(seed, count, columns=5):
    return torch.randn(count, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_scores_fall_as_distances_rise_and_stand_for_them(distance, leave_one_out):
    query = rows(0, 12) + 3
    gallery = query if leave_one_out else rows(1, 30) + 3
    comparison = compare(query, None if leave_one_out else gallery, distance=distance)
    pairs = query.double()[:, None], gallery.double()[None]
    true = 1 - F.cosine_similarity(*pairs, dim=2) if distance == "cosine" else (pairs[0] - pairs[1]).norm(dim=2)
    for part, found in comparison.chunks(torch.arange(12), 5):
        own = torch.arange(len(gallery)) == part[:, None]
        scores = torch.where(own, comparison.touching[part, None], found) if leave_one_out else found
        if leave_one_out:
            assert (found[own] == -torch.inf).all()
            assert (comparison.distances(part, scores)[own] == 0).all()
        torch.testing.assert_close(comparison.distances(part, scores), true[part], atol=1e-7, rtol=1e-7)
        assert scores.argsort(dim=1, descending=True).equal(true[part].argsort(dim=1))
    assert comparison.candidates == len(gallery) - leave_one_out


def test_no_queries_are_no_chunks():
    assert list(compare(rows(0, 3), None, distance="cosine").chunks(torch.empty(0, dtype=torch.int64), None)) == []


@pytest.mark.parametrize("count", [1, 4, 50])
def test_the_largest_are_those_of_a_sort(count):
    scores = rows(2, 9, 50).double()
    values, columns = largest(scores, count)
    expected = scores.sort(dim=1, descending=True)
    assert values.equal(expected.values[:, :count])
    assert columns.equal(expected.indices[:, :count])


def test_the_largest_are_found_by_other_processors_too():
    class Elsewhere(torch.Tensor):
        """A tensor that claims not to be on the CPU."""

        is_cpu = False

    scores = rows(3, 9, 50).double()
    found, expected = largest(scores.as_subclass(Elsewhere), 7), largest(scores, 7)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_unit_length_survives_any_scale_and_zeros_stay():
    points = rows(4, 3, 4).double() * torch.tensor([[1e-300], [1.0], [1e300]], dtype=torch.float64)
    unit = scale_to_unit_length(torch.cat([points, torch.zeros(1, 4, dtype=torch.float64)]))
    torch.testing.assert_close(unit.norm(dim=1), torch.tensor([1.0, 1, 1, 0], dtype=torch.float64))
