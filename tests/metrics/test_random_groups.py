"""Intervals of retrieval figures cover the truth, though the images are queries and gallery at once."""

import numpy as np
import pytest
import torch

from triptych.metrics import random_groups, retrieval_metrics, retrieval_scores
from triptych.metrics.intervals import Statistic, difference, interval, mean
from triptych.metrics.random_groups import retrieval_influences

CENTRES = np.random.default_rng(1).normal(size=(10, 8))


def sample(generator: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings by two equally good models of the same images, and the labels."""
    labels = generator.integers(10, size=count)
    shared = generator.normal(size=(count, 8))
    a, b = (CENTRES[labels] + 0.5 * (0.8 * shared + 0.6 * generator.normal(size=shared.shape)) for _ in range(2))
    return torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(labels)


def statistics(embeddings: torch.Tensor, labels: torch.Tensor) -> dict[str, Statistic]:
    influences = retrieval_influences(embeddings, labels, k=())
    figures = retrieval_metrics(embeddings, labels, k=())
    return {name: Statistic(value, influences[name], len(labels), is_share=True) for name, value in figures.items()}


def test_intervals_cover_the_truth_and_equal_models_are_not_called_different(monkeypatch):
    """The figure of all queries would be 95 % sure of an interval that holds it in 80 % of the cases."""
    monkeypatch.setattr(random_groups, "REPLICATES", 20)
    generator = np.random.default_rng(0)
    bounds, differences, naive = [], [], []
    for _ in range(80):
        a, b, labels = sample(generator, 120)
        of_a, of_b = statistics(a, labels), statistics(b, labels)
        bounds.append([interval(of_a[name]) for name in ("precision_at_1", "map_at_r")])
        differences.append([difference(of_a[name], of_b[name], paired=True) for name in ("precision_at_1", "map_at_r")])
        naive.append(interval(mean(retrieval_scores(a, labels, k=())["map_at_r"].numpy(), is_share=True)))
    truth = [np.mean([one.estimate for one in column]) for column in zip(*bounds, strict=True)]
    for column, figure in zip(zip(*bounds, strict=True), truth, strict=True):
        assert 0.88 <= np.mean([one.low <= figure <= one.high for one in column]) <= 0.995
    for column in zip(*differences, strict=True):
        assert np.mean([not one.low <= 0 <= one.high for one in column]) < 0.11
    assert np.mean([one.low <= truth[1] <= one.high for one in naive]) < 0.88


def test_the_same_images_and_seed_give_the_same_influences():
    a, _, labels = sample(np.random.default_rng(0), 60)
    first, again = retrieval_influences(a, labels, k=(5,)), retrieval_influences(a, labels, k=(5,))
    assert list(first) == ["precision_at_1", "recall_at_5", "r_precision", "map_at_r", "mrr"]
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    other = retrieval_influences(a, labels, k=(5,), seed=1)
    assert (first["map_at_r"] != other["map_at_r"]).any()


def test_many_images_are_divided_into_groups_of_bounded_size(monkeypatch):
    monkeypatch.setattr(random_groups, "GROUP", 30)
    monkeypatch.setattr(random_groups, "REPLICATES", 20)
    a, _, labels = sample(np.random.default_rng(0), 290)
    assert retrieval_influences(a, labels)["map_at_r"].shape == (20,)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_handful_of_images_has_no_variance_to_estimate(count):
    found = retrieval_influences(torch.eye(3)[:count], torch.zeros(count, dtype=torch.int64))
    assert all(not values.any() for values in found.values())


def test_images_without_a_mate_do_not_spoil_the_figures():
    found = retrieval_influences(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), torch.arange(8))
    assert all(np.isfinite(values).all() for values in found.values())
