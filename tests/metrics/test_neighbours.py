import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from triptych.metrics import knn_accuracy, nearest_neighbours


def rows(seed, count, columns=5):
    return torch.randn(count, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_agrees_with_scikit_learn(distance, chunk_size):
    query, gallery = rows(0, 20), rows(1, 60)
    peer = NearestNeighbors(n_neighbors=9, metric=distance).fit(gallery.numpy())
    distances, indices = peer.kneighbors(query.numpy())
    ours = nearest_neighbours(query, gallery, k=9, distance=distance, chunk_size=chunk_size)
    assert ours.indices.tolist() == indices.tolist()
    torch.testing.assert_close(ours.distances, torch.from_numpy(distances))
    others = peer.kneighbors(n_neighbors=9)[1]  # without the points themselves
    assert nearest_neighbours(gallery, k=9, distance=distance).indices.tolist() == others.tolist()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(2, 25),
    sides=st.integers(1, 3),
    k=st.integers(1, 24),
    alone=st.booleans(),
)
def test_among_ties_the_lowest_index_comes_first(seed, count, sides, k, alone):
    generator = torch.Generator().manual_seed(seed)
    gallery = torch.randint(sides + 1, (count, 2), generator=generator).float()
    query = gallery if alone else torch.randint(sides + 1, (4, 2), generator=generator).float()
    k = min(k, count - alone)
    found = nearest_neighbours(query, None if alone else gallery, k=k, distance="euclidean")
    for number, (one, indices) in enumerate(zip(query, found.indices.tolist(), strict=True)):
        candidates = [index for index in range(count) if not (alone and index == number)]
        # Squared distances are whole numbers here, and Python's sort keeps the order of the tied.
        assert indices == sorted(candidates, key=lambda index: (one - gallery[index]).square().sum().item())[:k]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_duplicates_are_at_distance_zero_and_zeros_at_cosine_distance_one(distance):
    gallery = F.normalize(rows(2, 10).float())
    found = nearest_neighbours(gallery.flip(0), gallery, k=1, distance=distance)
    assert found.indices[:, 0].tolist() == list(range(9, -1, -1))
    assert (found.distances == 0).all()
    assert found.distances.dtype == torch.float32
    if distance == "cosine":
        assert (nearest_neighbours(torch.zeros(1, 5), gallery, k=10).distances == 1).all()
        assert nearest_neighbours(gallery, -gallery, k=10).distances.max().item() == pytest.approx(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be a whole number of at least 1"),
        ({"k": 4}, "k must be at most 3, the rows that there are to compare with, but it is 4"),
        ({"k": 6, "gallery": torch.zeros(5, 2)}, "k must be at most 5"),
        ({"k": 1, "gallery": torch.zeros(5, 3)}, "query and gallery must have as many columns"),
        ({"k": 1, "distance": "dot"}, "distance must be one of"),
        ({"k": 1, "chunk_size": -1}, "chunk_size must be"),
    ],
)
def test_arguments_that_make_no_sense_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(torch.zeros(4, 2), **arguments)


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


def test_without_a_gallery_an_image_does_not_vote_for_itself():
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
def test_votes_with_arguments_that_make_no_sense_are_rejected(arguments, message):
    given_ones = {"query": torch.zeros(3, 2), "query_labels": torch.tensor([0, 1, 2]), "k": 1, **arguments}
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**given_ones)
