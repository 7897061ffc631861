"""Real digits with planted faults, judged by simple stand-ins for a trained model: the truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from triptych.data.builder import load_dataset
from triptych.evaluation.audit.pool import Pool
from triptych.metrics import nearest_neighbours

TRAIN, VALIDATION = 1000, 1200
"""Where training and validation images end among the 1,797."""


def pool_of(images: Tensor, labels: Tensor, *, has_decoder: bool = True) -> Pool:
    """Judge images by logistic regression on their pixels, neighbours among their principal components, and PCA."""
    pixels = images.flatten(1).numpy() / 255
    classifier = LogisticRegression(max_iter=60, C=0.1).fit(pixels, labels.numpy())
    pca = PCA(12, random_state=0).fit(pixels)
    latent = pca.transform(pixels)
    error = ((pca.inverse_transform(latent) - pixels) ** 2).mean(axis=1)
    found = nearest_neighbours(torch.from_numpy(latent), k=20, distance="euclidean")
    place = torch.arange(len(labels))
    split = (place >= TRAIN).long() + (place >= VALIDATION).long()
    return Pool(
        images=images,
        labels=labels,
        split=split,
        position=torch.where(split == 2, place - VALIDATION, place),
        probabilities=torch.from_numpy(classifier.predict_proba(pixels)),
        neighbours=found.indices,
        distances=found.distances.double(),
        error=torch.from_numpy(error) if has_decoder else None,
    )


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """All digits, (1797, 1, 8, 8), and their labels."""
    data = load_dataset("digits")
    return torch.cat([data.train.images, data.test.images]), torch.cat([data.train.labels, data.test.labels])


@pytest.fixture(scope="session")
def flipped(digits: tuple[Tensor, Tensor]) -> Callable[[int], tuple[Pool, np.ndarray, Tensor]]:
    """Give 5 % of the digits another label at random; return the pool, which were changed, and the true labels."""

    def flip(seed: int) -> tuple[Pool, np.ndarray, Tensor]:
        images, truth = digits
        random = np.random.default_rng(seed)
        chosen = random.permutation(len(truth))[: len(truth) // 20]
        labels = truth.clone()
        labels[chosen] = (labels[chosen] + torch.from_numpy(random.integers(1, 10, len(chosen)))) % 10
        return pool_of(images, labels), (labels != truth).numpy(), truth

    return flip


@pytest.fixture(scope="session")
def judged() -> Callable[..., Pool]:
    """Make a pool of images and labels."""
    return pool_of
