import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics import knn_accuracy


def naive(query, query_labels, gallery, gallery_labels, k):
    right = 0
    for one, label in zip(query, query_labels.tolist(), strict=True):
        nearest = sorted(range(len(gallery)), key=lambda index: (one - gallery[index]).norm().item())[:k]
        classes = [gallery_labels[index].item() for index in nearest]
        right += max(classes, key=classes.count) == label  # the first of the largest is that of the nearest
    return right / len(query)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), k=st.integers(1, 30), classes=st.integers(1, 5))
def test_is_the_vote_of_the_nearest(seed, k, classes):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(45, 3, dtype=torch.float64, generator=generator)
    labels = torch.randint(-1, classes, (45,), generator=generator)
    split = (points[:15], labels[:15], points[15:], labels[15:])
    assert knn_accuracy(*split, k=k, distance="euclidean") == naive(*split, k)


def test_among_equal_votes_the_class_of_the_nearest_wins():
    gallery, labels = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([5, 3, 3, 5])
    query = torch.tensor([[0.0]])
    assert knn_accuracy(query, torch.tensor([5]), gallery, labels, k=4, distance="euclidean") == 1
    assert knn_accuracy(query, torch.tensor([3]), gallery, labels, k=3, distance="euclidean") == 1


def test_without_a_gallery_nobody_votes_for_himself_and_all_others_vote_where_they_are_few():
    points = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    assert knn_accuracy(points, torch.tensor([0, 1, 2]), k=1) == 0
    assert knn_accuracy(points, torch.tensor([0, 0, 0]), k=50) == 1
    assert math.isnan(knn_accuracy(points[:1], torch.tensor([0]), k=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be a whole number"),
        ({"gallery": torch.zeros(2, 2)}, "gallery_labels is None"),
        ({"gallery_labels": torch.tensor([0])}, "gallery is None"),
        ({"query_labels": torch.tensor([0])}, "query_labels must be 3 integers"),
        ({"gallery": torch.zeros(2, 2), "gallery_labels": torch.tensor([0])}, "gallery_labels must be 2 integers"),
        ({"query": torch.tensor(0.0)}, "query must be a matrix"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    given_ones = {"query": torch.zeros(3, 2), "query_labels": torch.tensor([0, 1, 2]), "k": 1, **arguments}
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**given_ones)
