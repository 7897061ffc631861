import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from triptych.data.builder import load_dataset
from triptych.data.images import Split
from triptych.evaluation.baselines import measure_baselines


@pytest.fixture(scope="module")
def digits() -> tuple[Split, Split]:
    data = load_dataset("digits")
    return Split(data.train.images[:600], data.train.labels[:600]), data.test


def test_the_baselines_are_those_of_scikit_learn(digits: tuple[Split, Split]) -> None:
    train, test = digits
    x, y, asked, truth = (
        part.numpy()
        for part in (train.images.flatten(1) / 255, train.labels, test.images.flatten(1) / 255, test.labels)
    )
    pca, latent = PCA(12, svd_solver="full").fit(x), PCA(7, svd_solver="full").fit(x)
    nearest = KNeighborsClassifier(1)

    found = measure_baselines(train, test, embedding_dim=12, latent_dim=7)

    assert found["pixels_1nn"] == pytest.approx(nearest.fit(x, y).score(asked, truth), abs=0.006)
    reduced = nearest.fit(pca.transform(x), y).score(pca.transform(asked), truth)
    assert found["pca_1nn"] == pytest.approx(reduced, abs=0.006)
    repainted = latent.inverse_transform(latent.transform(asked))
    assert found["pca_mse"] == pytest.approx(((repainted - asked) ** 2).mean(), rel=1e-4)
    linear = LogisticRegression(max_iter=1000).fit((x - x.mean()) / x.std(), y)
    assert found["linear_classifier"] == pytest.approx(linear.score((asked - x.mean()) / x.std(), truth), abs=0.015)


def test_no_training_image_is_its_own_nearest(digits: tuple[Split, Split]) -> None:
    train, _ = digits

    assert measure_baselines(train, train, embedding_dim=4, latent_dim=None)["pixels_1nn"] < 1


def test_a_model_without_a_latent_is_not_compared_with_repainting(digits: tuple[Split, Split]) -> None:
    assert "pca_mse" not in measure_baselines(*digits, embedding_dim=4, latent_dim=None)


def test_more_dimensions_than_pixels_change_nothing(digits: tuple[Split, Split]) -> None:
    found = measure_baselines(*digits, embedding_dim=1000, latent_dim=1000)

    assert found["pca_1nn"] == pytest.approx(found["pixels_1nn"], abs=0.006)
    assert found["pca_mse"] == pytest.approx(0, abs=1e-6)


def test_one_class_is_named_without_learning() -> None:
    alike = Split(torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8), torch.zeros(20, dtype=torch.long))

    assert measure_baselines(alike, alike, embedding_dim=2, latent_dim=2)["linear_classifier"] == 1


def test_large_images_are_compared_in_small() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    large = (labels[:, None, None, None] * 60 + torch.randint(0, 99, (60, 3, 192, 128), generator=generator)).byte()

    found = measure_baselines(Split(large, labels), Split(large[:20], labels[:20]), embedding_dim=4, latent_dim=4)

    assert found["linear_classifier"] == 1
    assert "pca_mse" not in found
