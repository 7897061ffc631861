"""Baselines: metrics of simple methods without a learned embedding."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.data.pixels.mapped import parts
from triptych.evaluation.measuring.outputs import without_border
from triptych.inspection.thumbnails import thumbnails
from triptych.metrics.inputs import sampled_rows

LINEAR_STEPS = 40
"""Steps of L-BFGS for the linear classifier; twice as many change its accuracy on MNIST and CIFAR-10 by 0.003."""

LONGEST = 48
"""Maximum image side for the baselines: larger images are downsampled to limit the cost."""

MOST = 50_000
"""Maximum number of training images for the baselines, drawn at random if there are more."""

HELD = 1024
"""Number of full-size images in memory at a time."""

CHUNK_ELEMENTS = 2**24
"""Number of distances that are computed at a time: 64 MiB."""


@dataclass(frozen=True, eq=False)
class Baselines:
    """Metrics of the baselines.

    Attributes:
        figures: By the names of metrics.json: `pixels_1nn`, the accuracy of the nearest training image by Euclidean
            distance of pixels; `pca_1nn`, the same after PCA to `embedding_dim` dimensions; `linear_classifier`, the
            accuracy of multinomial logistic regression on pixels; `pca_mse`, the squared error per pixel in [0, 1] of
            reconstructions by PCA with `latent_dim` components, clipped to [0, 1] as the model's are: left out for a
            model without a latent, and for images that were shrunk, which are easier to reconstruct.
        correct: Whether each classifier among them classifies each image correctly, (N,).
    """

    figures: dict[str, float]
    correct: dict[str, NDArray[np.bool_]]


def measure_baselines(
    train: Split, split: Split, *, embedding_dim: int, latent_dim: int | None, pad: int = 0
) -> Baselines:
    """Measure baselines that use the same training images; the result depends only on the images.

    If the split is the training set itself, the nearest image is the nearest other one. Images larger than 48 pixels
    are downsampled to that. At most 50,000 training images are used.
    """
    rows = sampled_rows(len(train), at_most=MOST, seed=0)
    labels, truth = train.labels.cpu()[rows], split.labels.cpu()
    pixels = pixel_rows(train.select(rows) if len(rows) < len(train) else train, pad=pad)
    queries = pixels if split is train and len(rows) == len(train) else pixel_rows(split, pad=pad)
    own = rows if split is train else None
    mean, axes = principal_axes(pixels, max(embedding_dim, latent_dim or 0))
    reduced, reduced_queries = ((images - mean) @ axes[:, :embedding_dim] for images in (pixels, queries))
    predicted = {
        "pixels_1nn": labels[_nearest(queries, pixels, own)],
        "pca_1nn": labels[_nearest(reduced_queries, reduced, own)],
        "linear_classifier": _linear_classes(pixels, labels, queries),
    }
    correct = {name: (classes == truth).numpy() for name, classes in predicted.items()}
    figures = {name: float(right.mean()) for name, right in correct.items()}
    if latent_dim is not None and max(split.images.shape[2:]) - 2 * pad <= LONGEST:
        kept = axes[:, :latent_dim]
        reconstructed = ((queries - mean) @ kept @ kept.T + mean).clamp(0, 1)
        figures["pca_mse"] = float((queries - reconstructed).square().mean())
    return Baselines(figures, correct)


def pixel_rows(split: Split, *, pad: int) -> Tensor:
    """Return the pixels of a split in [0, 1], without padding and downsampled to at most 48 a side, (N, P)."""
    small = (thumbnails(without_border(part, pad), longest=LONGEST) for part in parts(split.images, HELD))
    return torch.cat([part.flatten(1).cpu() for part in small]).float() / 255


def principal_axes(pixels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean (P,) and at most `count` first principal axes (P, count) of pixels (N, P)."""
    from sklearn.decomposition import PCA

    found = PCA(min(count, *pixels.shape), random_state=0).fit(pixels.numpy())
    return torch.from_numpy(found.mean_), torch.from_numpy(found.components_.T.copy())


def _nearest(queries: Tensor, gallery: Tensor, own: Tensor | None) -> Tensor:
    """Return the row (Q,) of the gallery nearest to each query, by Euclidean distance; never the query itself.

    Args:
        queries: (Q, P).
        gallery: (G, P).
        own: The query of each row of the gallery, (G,); None if they are other images.
    """
    lengths = gallery.square().sum(1)
    found = []
    for rows in torch.split(torch.arange(len(queries)), max(1, CHUNK_ELEMENTS // len(gallery))):
        distances = torch.addmm(lengths, queries[rows], gallery.T, alpha=-2)
        if own is not None and len(gallery) > 1:
            mine = ((own >= rows[0]) & (own <= rows[-1])).nonzero()[:, 0]
            distances[own[mine] - rows[0], mine] = torch.inf
        found.append(distances.argmin(1))
    return torch.cat(found)


def _linear_classes(pixels: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(torch.unique(labels)) < 2:
        return labels[:1].expand(len(queries))
    # One scale for all pixels: standardising each pixel would amplify those that are nearly always black.
    mean, deviation = pixels.mean(), pixels.std().clamp(min=1e-6)
    classifier = LogisticRegression(max_iter=LINEAR_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(((pixels - mean) / deviation).numpy(), labels.numpy())
    return torch.from_numpy(classifier.predict(((queries - mean) / deviation).numpy()))
