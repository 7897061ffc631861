"""What is reached without a learned embedding, so that a reader knows what the model's figures are worth."""

import warnings

import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.inspection.thumbnails import thumbnails
from triptych.metrics import knn_accuracy

LINEAR_STEPS = 40
"""Steps of L-BFGS for the linear classifier; twice as many change its accuracy on MNIST and CIFAR-10 by 0.003."""

LONGEST = 48
"""Pixels to a side that the simple methods see: larger images are shrunk, or their cost would exceed the model's."""


def measure_baselines(train: Split, split: Split, *, embedding_dim: int, latent_dim: int | None) -> dict[str, float]:
    """Measure what simple methods reach that learn from the same training images; it depends on the images alone.

    Where the split is the training set itself, the nearest image is the nearest other one. Images larger than 48 pixels
    are shrunk to that.

    Returns:
        pixels_1nn: Accuracy of the nearest training image by Euclidean distance of pixels.
        pca_1nn: The same after PCA to `embedding_dim` dimensions.
        linear_classifier: Accuracy of multinomial logistic regression on pixels.
        pca_mse: Squared error per pixel in [0, 1] of reconstructions by PCA with `latent_dim` components; left out
            for a model without a latent, and for images that were shrunk, which are easier to repaint.
    """
    is_train = split is train
    pixels, labels = _pixels(train), train.labels.cpu()
    asked = pixels if is_train else _pixels(split)
    mean, axes = _principal_axes(pixels, max(embedding_dim, latent_dim or 0))
    reduced, asked_reduced = ((images - mean) @ axes[:, :embedding_dim] for images in (pixels, asked))
    figures = {
        "pixels_1nn": _nearest(pixels, labels, asked, split.labels.cpu(), is_train=is_train),
        "pca_1nn": _nearest(reduced, labels, asked_reduced, split.labels.cpu(), is_train=is_train),
        "linear_classifier": _linear_accuracy(pixels, labels, asked, split.labels.cpu()),
    }
    if latent_dim is not None and max(split.images.shape[2:]) <= LONGEST:
        figures["pca_mse"] = _repainting_error(asked - mean, axes[:, :latent_dim])
    return figures


def _pixels(split: Split) -> Tensor:
    return thumbnails(split.images, longest=LONGEST).flatten(1).cpu().float() / 255


def _principal_axes(pixels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return mean (P,) and the first axes (P, count) of pixels (N, P), from their covariance: exact, and no N x N."""
    mean = pixels.mean(0)
    centred = pixels - mean
    _, axes = torch.linalg.eigh((centred.T @ centred).double())
    return mean, axes.flip(1)[:, :count].float()


def _nearest(gallery: Tensor, labels: Tensor, asked: Tensor, asked_labels: Tensor, *, is_train: bool) -> float:
    if is_train:
        return knn_accuracy(gallery, labels, k=1, distance="euclidean")
    return knn_accuracy(asked, asked_labels, gallery, labels, k=1, distance="euclidean")


def _linear_accuracy(pixels: Tensor, labels: Tensor, asked: Tensor, asked_labels: Tensor) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(torch.unique(labels)) < 2:
        return float((asked_labels == labels[0]).float().mean())
    # One scale for all pixels: standardising each would blow up those that are nearly always black.
    mean, deviation = pixels.mean(), pixels.std()
    classifier = LogisticRegression(max_iter=LINEAR_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(((pixels - mean) / deviation).numpy(), labels.numpy())
    return float(classifier.score(((asked - mean) / deviation).numpy(), asked_labels.numpy()))


def _repainting_error(centred: Tensor, axes: Tensor) -> float:
    """The mean square of what the axes leave of centred pixels (N, P)."""
    return float((centred - centred @ axes @ axes.T).square().mean())
