import pytest
import torch
import torch.nn.functional as F

from triptych.losses import pairwise_distances


def exact(embeddings):
    """Differences first, in float64: no cancellation."""
    points = embeddings.double()
    return (points[:, None] - points[None]).square().sum(dim=2).sqrt()


def touching_batch(size, embedding_dim):
    """Unit vectors, half of them copies of the others, moved by nothing or by 1e-8 to 0.1."""
    generator = torch.Generator().manual_seed(size + embedding_dim)
    half = F.normalize(torch.randn(size // 2, embedding_dim, generator=generator), dim=1)
    moves = torch.randn(half.shape, generator=generator) * torch.logspace(-8, -1, len(half))[:, None]
    moves[: len(half) // 4] = 0
    return torch.cat([half, F.normalize(half + moves / embedding_dim**0.5, dim=1)])


def test_distances_are_those_of_the_differences():
    embeddings = torch.randn(40, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pairwise_distances(embeddings), exact(embeddings), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("embedding_dim", [2, 64, 512])
def test_the_error_of_float32_stays_within_the_documented_bounds(embedding_dim):
    embeddings = touching_batch(256, embedding_dim)
    ours, truth = pairwise_distances(embeddings).double(), exact(embeddings)
    squared_norms = (embeddings.double() - embeddings.double().mean(dim=0)).square().sum(dim=1)
    scale = squared_norms[:, None] + squared_norms
    resolution = torch.finfo(torch.float32).eps
    assert ((ours.square() - truth.square()).abs() <= 8 * resolution * scale).all()  # about 5 are documented
    far = truth > 0.5
    assert ((ours - truth).abs()[far] <= 2e-6 * truth[far]).all()
    assert ((ours - truth).abs() <= 1.5e-3).all()


def test_a_batch_collapsed_to_a_point_keeps_its_geometry():
    directions = torch.randn(20, 16, generator=torch.Generator().manual_seed(1))
    point = F.normalize(torch.ones(16), dim=0)
    embeddings = point + 1e-4 * directions
    torch.testing.assert_close(pairwise_distances(embeddings).double(), exact(embeddings), atol=1e-8, rtol=1e-4)


def test_equal_rows_have_distance_zero_and_a_finite_gradient():
    embeddings = touching_batch(64, 8).requires_grad_()
    distances = pairwise_distances(embeddings)
    assert (distances.diagonal() == 0).all()
    assert (distances[torch.arange(8), 32 + torch.arange(8)] == 0).all()
    distances.sum().backward()
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.norm(dim=1).max() <= 2 * 2 * 64  # each of 2 x 64 pairs pulls with a force of about 1


def test_gradient_is_that_of_the_differences():
    embeddings = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    apart = ~torch.eye(6, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda points: pairwise_distances(points)[apart], embeddings)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_distances_are_float32_under_autocast(dtype):
    embeddings = touching_batch(32, 8).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = pairwise_distances(embeddings)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), exact(embeddings), atol=1.5e-3, rtol=1e-6)
