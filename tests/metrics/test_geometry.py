import itertools
import math
import statistics

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness as peer_trustworthiness

from triptych.metrics import alignment, effective_rank, geometry, spread, trustworthiness, uniformity


def cloud(seed, count, columns=6, dtype=torch.float64):
    return torch.randn(count, columns, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def directions(points):
    return [F.normalize(point, dim=0) for point in points.double()]


def test_spread_is_the_rms_standard_deviation_over_that_of_an_even_sphere():
    points = cloud(0, 50) + 0.5
    unit = F.normalize(points)
    assert spread(points) == pytest.approx((6 * unit.var(dim=0, correction=0).mean()).sqrt().item())
    assert spread(points) == pytest.approx((1 - unit.mean(dim=0).square().sum()).sqrt().item())
    assert spread(torch.cat([points, -points])) == 1
    assert spread(cloud(1, 4000)) == pytest.approx(1, abs=0.01)


def test_effective_rank_counts_the_axes_in_use():
    assert effective_rank(cloud(2, 5000)) == pytest.approx(6, abs=0.01)
    line = torch.tensor([[1.0, 0.2, 0.0], [1.0, -0.2, 0.0]])
    assert effective_rank(line) == pytest.approx(1)
    # Four times as many images along one axis as along the other: singular values in the ratio 2 to 1.
    uneven = torch.tensor([[1.0, 0.0], [-1.0, 0.0]] * 4 + [[0.0, 1.0], [0.0, -1.0]])
    assert effective_rank(uneven) == pytest.approx(math.exp(2 / 3 * math.log(3 / 2) + 1 / 3 * math.log(3)))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), count=st.integers(2, 12), classes=st.integers(1, 4))
def test_alignment_and_uniformity_equal_the_loops_over_pairs(seed, count, classes):
    points = cloud(seed, count)
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    unit = directions(points)
    squared = {
        pair: (unit[pair[0]] - unit[pair[1]]).square().sum().item() for pair in itertools.permutations(range(count), 2)
    }
    within = [value for (i, j), value in squared.items() if labels[i] == labels[j]]
    expected = statistics.mean(within) if within else math.nan
    assert alignment(points, torch.tensor(labels)) == pytest.approx(expected, nan_ok=True)
    assert uniformity(points) == pytest.approx(
        math.log(statistics.mean(math.exp(-2 * value) for value in squared.values()))
    )


def test_uniformity_is_the_same_in_chunks_and_near_itself_on_a_sample(monkeypatch):
    points = cloud(3, 700)
    whole = uniformity(points)
    monkeypatch.setattr(geometry, "UNIFORMITY_CHUNK", 64)
    assert uniformity(points) == pytest.approx(whole, abs=1e-12)
    monkeypatch.setattr(geometry, "UNIFORMITY_SAMPLE", 350)
    assert uniformity(points, seed=1) == uniformity(points, seed=1) != uniformity(points, seed=2)
    assert uniformity(points) == pytest.approx(whole, abs=0.1)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_neither_lengths_nor_a_rotation_nor_the_order_change_the_shape(seed):
    points, labels = cloud(seed, 40), torch.arange(40) % 3
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(40, generator=generator)
    rotation = torch.linalg.qr(cloud(seed + 1, 6)).Q
    moved = (points * torch.rand(40, 1, dtype=torch.float64, generator=generator).add(0.1))[order] @ rotation
    for measure in (spread, effective_rank, uniformity):
        assert measure(moved) == pytest.approx(measure(points))
    assert alignment(moved, labels[order]) == pytest.approx(alignment(points, labels))


@pytest.mark.parametrize("point", [torch.ones(5), torch.zeros(5), torch.full((5,), 0.3)], ids=str)
def test_one_point_has_no_extent(point):
    points = point.expand(20, 5)
    assert spread(points) == pytest.approx(0, abs=1e-7)
    assert effective_rank(points) == 0
    assert alignment(points, torch.zeros(20, dtype=torch.int64)) == pytest.approx(0, abs=1e-12)
    assert uniformity(points) == pytest.approx(0, abs=1e-12)
    assert math.isnan(trustworthiness(points, np.random.default_rng(0).normal(size=(20, 2))))


def test_one_image_has_no_pairs():
    one = torch.ones(1, 3)
    assert (spread(one), effective_rank(one)) == (0, 0)
    assert math.isnan(uniformity(one))
    assert math.isnan(alignment(one, torch.tensor([0])))
    assert math.isnan(alignment(cloud(0, 3), torch.tensor([0, 1, 2])))
    assert math.isnan(trustworthiness(one, np.zeros((1, 2))))


def test_trustworthiness_is_scikit_learns_among_directions(monkeypatch):
    points, places = cloud(4, 60), cloud(5, 60, columns=2)
    lengths = torch.linspace(0.1, 9, 60, dtype=torch.float64)[:, None]
    expected = peer_trustworthiness(F.normalize(points).numpy(), places.numpy(), n_neighbors=12)
    assert trustworthiness(points * lengths, places.numpy()) == pytest.approx(expected)
    flat = F.normalize(cloud(6, 60, columns=2))
    assert trustworthiness(flat, flat) == 1
    assert trustworthiness(points[:5], places[:5]) == pytest.approx(
        peer_trustworthiness(F.normalize(points[:5]).numpy(), places[:5].numpy(), n_neighbors=2)
    )
    monkeypatch.setattr(geometry, "TRUSTWORTHINESS_SAMPLE", 40)
    assert trustworthiness(points, places, seed=3) == trustworthiness(points, places, seed=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spread(torch.zeros(3)), "embeddings must be a matrix"),
        (lambda: effective_rank(torch.full((2, 2), math.nan)), "embeddings must be finite"),
        (lambda: uniformity(torch.zeros(0, 2)), "embeddings must be a matrix"),
        (lambda: alignment(torch.zeros(3, 2), torch.zeros(3)), "labels must be 3 integers"),
        (
            lambda: trustworthiness(torch.eye(9), np.zeros((8, 2))),
            "points must be as many as embeddings, 9, but there are 8",
        ),
        (lambda: trustworthiness(torch.eye(9), np.full((9, 2), np.nan)), "points must be finite"),
        (lambda: trustworthiness(torch.eye(9), np.zeros((9, 2)), neighbours=0), "neighbours must be a whole number"),
    ],
)
def test_arguments_that_make_no_sense_are_rejected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
