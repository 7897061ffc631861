"""Maps: near neighbours stay near, the same embeddings give the same map, and it is computed once."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from triptych.explorer.content import layout
from triptych.explorer.content.layout import known_map, neighbour_map, principal_axes


def embeddings(count: int) -> np.ndarray:
    vectors = load_digits().data[:count].astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_principal_axes_are_those_of_scikit_learn_up_to_their_signs() -> None:
    vectors = embeddings(300)

    found = principal_axes(vectors)

    np.testing.assert_allclose(abs(found), abs(PCA(2).fit_transform(vectors)), atol=1e-5)


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.ones((1, 4)), np.ones((3, 1)), np.zeros((2, 2))])
def test_principal_axes_of_hardly_anything_are_finite(vectors: np.ndarray) -> None:
    assert np.isfinite(principal_axes(vectors)).all()
    assert principal_axes(vectors).shape == (len(vectors), 2)


@pytest.mark.parametrize("count", [200, 700])
def test_near_neighbours_stay_near(tmp_path: Path, count: int) -> None:
    vectors = embeddings(count)

    points = neighbour_map(vectors, folder=tmp_path)

    assert points.dtype == np.float32
    assert trustworthiness(vectors, points, n_neighbors=10) > 0.95


@pytest.mark.parametrize("vectors", [np.ones((1, 4)), np.ones((3, 4)), np.eye(4), np.ones((600, 4))])
def test_maps_of_few_or_identical_embeddings_are_finite(tmp_path: Path, vectors: np.ndarray) -> None:
    assert np.isfinite(neighbour_map(vectors, folder=tmp_path)).all()


def test_a_map_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = embeddings(60)
    assert known_map(vectors, folder=tmp_path) is None
    first = neighbour_map(vectors, folder=tmp_path)
    monkeypatch.setattr(layout, "_computed", None)

    np.testing.assert_array_equal(neighbour_map(vectors.astype(np.float16), folder=tmp_path), first)
    assert known_map(vectors[:-1], folder=tmp_path) is None


def test_a_damaged_map_is_computed_again(tmp_path: Path) -> None:
    vectors = embeddings(60)
    first = neighbour_map(vectors, folder=tmp_path)
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:100])

    np.testing.assert_array_equal(neighbour_map(vectors, folder=tmp_path), first)


def test_without_the_optional_library_there_is_a_map_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    vectors = embeddings(520)

    assert trustworthiness(vectors, neighbour_map(vectors, folder=tmp_path), n_neighbors=10) > 0.95
