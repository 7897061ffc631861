import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import silhouette_score

from triptych.metrics import clustering, clustering_metrics


def clusters(seed, count, classes, spread):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    points = F.one_hot(labels, 8).double() + spread * torch.randn(count, 8, dtype=torch.float64, generator=generator)
    return points, labels


def test_clusters_that_are_the_classes_score_one_and_labels_without_meaning_chance():
    points, labels = clusters(0, 120, 4, spread=0.05)
    found = clustering_metrics(points, 7 - 3 * labels)
    assert (found.nmi, found.ami) == pytest.approx((1, 1))
    assert found.silhouette > 0.8
    chance = clustering_metrics(points, labels[torch.randperm(120, generator=torch.Generator().manual_seed(1))])
    assert chance.nmi < 0.15
    assert chance.ami == pytest.approx(0, abs=0.05)
    assert chance.silhouette == pytest.approx(0, abs=0.1)


def test_nmi_by_hand():
    # Two tight clusters; of three images each, one bears the other's label: I = ln 2 + 2/3 ln 2/3 + 1/3 ln 1/3.
    points = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    found = clustering_metrics(points, torch.tensor([0, 0, 1, 1, 1, 0]))
    information = math.log(2) + 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)
    assert found.nmi == pytest.approx(information / math.log(2))


def test_lengths_do_not_matter_and_the_silhouette_is_scikit_learns():
    points, labels = clusters(2, 60, 3, spread=0.3)
    lengths = torch.linspace(0.1, 9, 60, dtype=torch.float64)[:, None]
    found = clustering_metrics(points * lengths, labels)
    assert found == pytest.approx(clustering_metrics(points, labels))
    assert found.silhouette == pytest.approx(silhouette_score(F.normalize(points).numpy(), labels.numpy()))


def test_the_same_seed_gives_the_same_figures_also_on_a_sample(monkeypatch):
    points, labels = clusters(3, 200, 5, spread=0.8)
    monkeypatch.setattr(clustering, "SILHOUETTE_SAMPLE", 50)
    assert clustering_metrics(points, labels, seed=4) == clustering_metrics(points, labels, seed=4)
    assert (
        clustering_metrics(points, labels, seed=4).silhouette != clustering_metrics(points, labels, seed=5).silhouette
    )


def test_a_collapsed_model_agrees_with_nothing_and_carries_no_information():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = clustering_metrics(torch.ones(12, 3), torch.arange(12) % 3)
    assert found == pytest.approx((0, 0, 0), abs=1e-12)


def test_what_does_not_exist_is_nan():
    assert all(math.isnan(value) for value in clustering_metrics(torch.eye(3), torch.zeros(3, dtype=torch.int64)))
    alone = clustering_metrics(torch.eye(3), torch.arange(3))
    assert alone.nmi == pytest.approx(1)
    assert math.isnan(alone.silhouette)


def test_labels_must_fit():
    with pytest.raises(ValueError, match="labels must be 3 integers"):
        clustering_metrics(torch.eye(3), torch.arange(2))
