import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from triptych.data.builder import load_dataset
from triptych.data.images import Split
from triptych.evaluation.measuring.baselines import measure_baselines, principal_axes


@pytest.fixture(scope="module")
def digits() -> tuple[Split, Split]:
    data = load_dataset("digits")
    return Split(data.train.images[:600], data.train.labels[:600]), data.test


def test_the_baselines_are_those_of_scikit_learn(digits: tuple[Split, Split]) -> None:
    train, test = digits
    x, y, queries, truth = (
        part.numpy()
        for part in (train.images.flatten(1) / 255, train.labels, test.images.flatten(1) / 255, test.labels)
    )
    pca, latent = PCA(12, svd_solver="full").fit(x), PCA(7, svd_solver="full").fit(x)
    nearest = KNeighborsClassifier(1)

    found = measure_baselines(train, test, embedding_dim=12, latent_dim=7).figures

    assert found["pixels_1nn"] == pytest.approx(nearest.fit(x, y).score(queries, truth), abs=0.006)
    reduced = nearest.fit(pca.transform(x), y).score(pca.transform(queries), truth)
    assert found["pca_1nn"] == pytest.approx(reduced, abs=0.006)
    reconstructed = latent.inverse_transform(latent.transform(queries)).clip(0, 1)
    assert found["pca_mse"] == pytest.approx(((reconstructed - queries) ** 2).mean(), rel=1e-4)
    linear = LogisticRegression(max_iter=1000).fit((x - x.mean()) / x.std(), y)
    assert found["linear_classifier"] == pytest.approx(linear.score((queries - x.mean()) / x.std(), truth), abs=0.015)


def test_no_training_image_is_its_own_nearest(digits: tuple[Split, Split]) -> None:
    train, _ = digits

    assert measure_baselines(train, train, embedding_dim=4, latent_dim=None).figures["pixels_1nn"] < 1


def test_a_model_without_a_latent_is_not_compared_with_pca(digits: tuple[Split, Split]) -> None:
    assert "pca_mse" not in measure_baselines(*digits, embedding_dim=4, latent_dim=None).figures


def test_more_dimensions_than_pixels_change_nothing(digits: tuple[Split, Split]) -> None:
    found = measure_baselines(*digits, embedding_dim=1000, latent_dim=1000).figures

    assert found["pca_1nn"] == pytest.approx(found["pixels_1nn"], abs=0.006)
    assert found["pca_mse"] == pytest.approx(0, abs=1e-6)


def test_one_class_needs_no_classifier() -> None:
    alike = Split(torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8), torch.zeros(20, dtype=torch.long))

    assert measure_baselines(alike, alike, embedding_dim=2, latent_dim=2).figures["linear_classifier"] == 1


def test_large_images_are_compared_at_a_small_size() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    large = (labels[:, None, None, None] * 60 + torch.randint(0, 99, (60, 3, 192, 128), generator=generator)).byte()

    found = measure_baselines(
        Split(large, labels), Split(large[:20], labels[:20]), embedding_dim=4, latent_dim=4
    ).figures

    assert found["linear_classifier"] == 1
    assert "pca_mse" not in found


@pytest.mark.parametrize(("images", "pixels"), [(40, 90), (90, 40)])
def test_axes_are_those_of_a_singular_value_decomposition(images: int, pixels: int) -> None:
    """By the smaller of the two products: few large images took 80 seconds by the larger one."""
    rows = torch.rand(images, pixels, generator=torch.Generator().manual_seed(0))
    mean, axes = principal_axes(rows, 5)
    _, _, expected = torch.linalg.svd((rows - rows.mean(0)).double(), full_matrices=False)

    assert torch.allclose(mean, rows.mean(0))
    assert torch.allclose((axes.double().T @ expected[:5].T).abs(), torch.eye(5).double(), atol=1e-3)


def test_many_training_images_are_sampled(digits: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.evaluation.measuring.baselines.MOST", 200)
    train, _ = digits

    found = measure_baselines(train, train, embedding_dim=4, latent_dim=None)

    assert len(found.correct["pixels_1nn"]) == len(train)
    # None of the 200 is its own nearest.
    assert found.figures["pixels_1nn"] < 1
