"""Nearest neighbours between embeddings, with the files that they came from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.artefacts.embeddings import Embeddings, nearest


def embeddings(vectors, fingerprint="a"):
    vectors = np.asarray(vectors, np.float32)
    return Embeddings(vectors, tuple(Path(f"{row}.jpg") for row in range(len(vectors))), fingerprint)


@pytest.fixture
def gallery():
    vectors = np.random.default_rng(0).standard_normal((30, 5))
    return embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def naive(query, gallery, k):
    """Sort all pairs by cosine similarity, in loops."""
    indices = [
        sorted(range(len(gallery)), key=lambda row: -sum(a * b for a, b in zip(one, gallery[row], strict=True)))[:k]
        for one in query
    ]
    distances = [
        [1 - float(np.dot(one, gallery[row])) for row in rows] for one, rows in zip(query, indices, strict=True)
    ]
    return np.array(indices), np.array(distances)


def test_neighbours_are_those_of_the_naive_search_with_their_files(gallery):
    query = embeddings(gallery.vectors[:4] * 0.9 + 0.1)
    indices, distances = naive(query.vectors / np.linalg.norm(query.vectors, axis=1, keepdims=True), gallery.vectors, 3)

    found = nearest(query, gallery, 3)

    assert np.array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, atol=1e-6)
    assert found.paths == tuple(tuple(Path(f"{row}.jpg") for row in rows) for rows in indices)


def test_queries_among_themselves_do_not_find_themselves(gallery):
    for found in (nearest(gallery, k=1), nearest(gallery, gallery, k=1)):
        assert all(row != index for row, (index,) in enumerate(found.indices))


def test_arrays_tensors_and_single_vectors_are_taken(gallery):
    expected = nearest(gallery.vectors[:1], gallery, 2)
    for query in (gallery.vectors[0], torch.from_numpy(gallery.vectors[:1]), embeddings(gallery.vectors[:1])):
        assert np.array_equal(nearest(query, gallery, 2).indices, expected.indices)
    found = nearest(gallery.vectors[:1], torch.from_numpy(gallery.vectors), 2)
    assert np.array_equal(found.indices, expected.indices)
    assert found.paths == ((None, None),)


def test_embeddings_of_different_models_are_not_compared(gallery):
    with pytest.raises(ValueError, match="embeddings of one model, but their fingerprints are a and b"):
        nearest(gallery, embeddings(gallery.vectors, fingerprint="b"), 1)


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        (np.ones((1, 4)), 1, "as many columns"),
        (np.ones((1, 5)), 31, "k must be at most 30"),
        (np.ones((1, 5)), 0, "k must be"),
        (np.full((1, 5), np.nan), 1, "finite"),
    ],
)
def test_wrong_arguments_get_a_message(gallery, query, k, message):
    with pytest.raises(ValueError, match=message):
        nearest(query, gallery, k)
