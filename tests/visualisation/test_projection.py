"""The projection: near stays near, whatever the number, size and state of the embeddings."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from triptych.visualisation.projection import project_tsne


@pytest.mark.parametrize("width", [1, 2, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_any_number_of_embeddings_of_any_width_has_a_map(count: int, width: int) -> None:
    points = project_tsne(torch.randn(count, width, generator=torch.Generator().manual_seed(0)), seed=0)

    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_the_seed_decides_the_map() -> None:
    embeddings = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    first, again, other = (project_tsne(embeddings, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_lengths_do_not_count_only_angles() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    lengths = 2.0 ** torch.randint(-3, 4, (30, 1), generator=generator)

    assert np.array_equal(project_tsne(embeddings, seed=0), project_tsne(embeddings * lengths, seed=0))


def test_real_digits_that_are_neighbours_stay_neighbours() -> None:
    digits = load_digits()
    embeddings, labels = digits.data[:500], digits.target[:500]
    points = project_tsne(embeddings, seed=0)

    neighbours = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    assert (labels[neighbours] == labels[:, None]).mean() > 0.9


@pytest.mark.parametrize("spread", [0.0, 1e-7])
def test_embeddings_that_have_collapsed_still_have_a_map(spread: float) -> None:
    """scikit-learn's own start crashes the process here."""
    embeddings = torch.ones(60, 8) + spread * torch.randn(60, 8, generator=torch.Generator().manual_seed(0))

    assert np.isfinite(project_tsne(embeddings, seed=0)).all()


def test_embeddings_of_a_few_identical_groups_lie_in_those_groups() -> None:
    points = project_tsne(torch.eye(4).repeat_interleave(20, dim=0), seed=0)

    centres = points.reshape(4, 20, 2).mean(axis=1)
    within = np.linalg.norm(points.reshape(4, 20, 2) - centres[:, None], axis=2).max()
    between = min(np.linalg.norm(centres[a] - centres[b]) for a in range(4) for b in range(a))
    assert between > within


def test_zero_vectors_half_precision_gradients_and_arrays_are_taken() -> None:
    assert project_tsne(torch.zeros(9, 4), seed=0).shape == (9, 2)
    assert project_tsne(torch.rand(9, 4, dtype=torch.bfloat16), seed=0).shape == (9, 2)
    assert project_tsne(torch.rand(9, 4, requires_grad=True), seed=0).shape == (9, 2)
    assert project_tsne(np.random.default_rng(0).normal(size=(9, 4)), seed=0).shape == (9, 2)


def test_what_is_no_matrix_or_not_finite_is_refused() -> None:
    for wrong in (torch.rand(5), torch.rand(0, 3), torch.rand(3, 0), torch.rand(2, 3, 4)):
        with pytest.raises(ValueError, match=r"^embeddings must be a matrix .* but the shape is .*; give"):
            project_tsne(wrong, seed=0)
    with pytest.raises(ValueError, match=r"^embeddings must be finite, but 1 of 5 rows are not; look"):
        project_tsne(torch.eye(5).index_fill(0, torch.tensor([2]), torch.nan), seed=0)
