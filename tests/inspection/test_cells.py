import pytest
import torch
import torch.nn.functional as F

from triptych.inspection import cells
from triptych.inspection.cells import near_neighbours


def points(count: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)))


def naive(vectors: torch.Tensor, k: int) -> torch.Tensor:
    similarity = vectors @ vectors.T
    similarity.fill_diagonal_(-2)
    return similarity.topk(k, dim=1).indices


def test_few_points_get_their_exact_neighbours() -> None:
    vectors = points(300)

    assert torch.equal(near_neighbours(vectors, k=5), naive(vectors, 5))


def test_of_many_points_the_nearest_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT", 100)
    base = points(1500)
    near = F.normalize(base + 0.02 * points(1500, seed=1))
    vectors = torch.cat([base, near])

    found = near_neighbours(vectors, k=4)

    twin = (torch.arange(3000) + 1500) % 3000
    assert (found[:, 0] == twin).float().mean() > 0.99
    assert not (found == torch.arange(3000)[:, None]).any()


def test_small_cells_are_searched_until_there_are_enough_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT", 2)
    monkeypatch.setattr(cells, "PROBES", 1)
    vectors = points(30)

    found = near_neighbours(vectors, k=20)

    assert all(len(set(row)) == 20 for row in found.tolist())


def test_equal_points_are_neighbours_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "EXACT", 10)

    found = near_neighbours(points(1).expand(500, -1), k=3)

    assert found.shape == (500, 3)
    assert not (found == torch.arange(500)[:, None]).any()
