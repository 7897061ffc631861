"""The metrics of a split: per image, for the whole split, and their intervals."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.evaluation.measuring.baselines import pixel_rows
from triptych.evaluation.measuring.outputs import Model, ModelOutputs, Reconstructed, model_outputs
from triptych.metrics import (
    active_units,
    alignment,
    classification_metrics,
    clustering_metrics,
    effective_rank,
    evidence_lower_bound,
    kl_per_image,
    knn_classes,
    retrieval_metrics,
    retrieval_scores,
    spread,
    uniformity,
)
from triptych.metrics.intervals import Statistic, interval, mean
from triptych.metrics.random_groups import retrieval_influences
from triptych.runs.per_image import AVERAGED, HITS, PerImage

Columns = dict[str, NDArray[Any]]
"""Arrays (N,) by name, a row for each image of a split, in its order."""

VOTES = 5
"""Number of neighbours of `knn_accuracy`."""

DEPTHS = (5, 10)
"""The k of recall@k."""


def measure_split(
    model: Model, split: Split, *, gallery: ModelOutputs | Literal["itself"] | None = None, pad: int = 0
) -> tuple[ModelOutputs, PerImage, dict[str, Any]]:
    """Measure a model on images; the result is reproducible.

    Args:
        model: On any device; it is set to evaluate.
        split: The images, with their labels.
        gallery: The outputs for the training images, among which `nearest_neighbour_accuracy` and `knn_accuracy` find
            neighbours; "itself" for the training images themselves; None omits these two figures.
        pad: Width of the border that `dataset.pad` has added to the images; it does not count as reconstructed.

    Returns:
        The outputs; the results of each image; and the figures, by the names of `triptych.runs.definitions`, with their
        95 % intervals under `intervals`.
    """
    outputs = model_outputs(model, split, pad=pad)
    if gallery == "itself":
        gallery = outputs
    table = per_image(outputs, gallery=gallery)
    channels, height, width = split.images.shape[1:]
    pixels = channels * (height - 2 * pad) * (width - 2 * pad)
    return outputs, table, split_figures(table, outputs, gallery=gallery, pixels=pixels)


def per_image(outputs: ModelOutputs, *, gallery: ModelOutputs | None = None) -> PerImage:
    """Measure every image of a split.

    Retrieval looks for neighbours among the other images of the split; `nearest_class` is the class of the nearest
    image of the gallery, where there is one.
    """
    confidence, prediction = outputs.probabilities.max(1)
    columns = {
        "index": torch.arange(len(outputs)),
        "label": outputs.labels,
        "prediction": prediction,
        "correct": prediction == outputs.labels,
        "confidence": confidence,
        "nll": F.cross_entropy(outputs.logits, outputs.labels, reduction="none"),
    }
    if gallery is not None and len(gallery) > 1:
        columns["nearest_class"] = _neighbours_classes(outputs, gallery, votes=1)
    found = retrieval_scores(outputs.embeddings, outputs.labels, k=DEPTHS)
    columns |= {name: scores.float() for name, scores in found.items()}
    if (part := outputs.reconstructed) is not None:
        columns |= {"mse": part.mse, "psnr": part.psnr, "ssim": part.ssim}
        columns["kl_divergence"] = kl_per_image(part.mean, part.log_variance).sum(1).float()
    influences = retrieval_influences(outputs.embeddings, outputs.labels, k=DEPTHS)
    return PerImage(
        {name: column.numpy() for name, column in columns.items()},
        {"influences": {name: values.tolist() for name, values in influences.items()}},
    )


def split_figures(
    table: PerImage, outputs: ModelOutputs, *, gallery: ModelOutputs | None, pixels: int
) -> dict[str, Any]:
    """Compute the metrics of a whole split.

    Args:
        table: The results of its images.
        outputs: The outputs of the model.
        gallery: Those for the training images; where they are `outputs` itself, each image is compared with the others.
        pixels: Number of values in an image, without a border.
    """
    classified, statistics = classification_metrics(outputs.probabilities, outputs.labels), table.statistics()
    figures: dict[str, Any] = {
        "accuracy": classified.accuracy,
        "macro_f1": classified.macro_f1,
        "ece": classified.ece,
    }
    if gallery is not None and "nearest_class" in table.columns:
        nearest, voted = table.columns["nearest_class"], _neighbours_classes(outputs, gallery, votes=VOTES)
        figures["nearest_neighbour_accuracy"] = float((nearest == outputs.labels.numpy()).mean())
        statistics["knn_accuracy"] = mean((voted == outputs.labels).numpy(), is_share=True)
        figures["knn_accuracy"] = statistics["knn_accuracy"].value
    figures |= clustering_metrics(outputs.embeddings, outputs.labels)._asdict()
    figures |= {
        "alignment": alignment(outputs.embeddings, outputs.labels),
        "uniformity": uniformity(outputs.embeddings),
        "effective_rank": effective_rank(outputs.embeddings),
        "spread": spread(outputs.embeddings),
    }
    figures |= {name: _mean(table.columns[name]) for name in AVERAGED if name in table.columns}
    if outputs.reconstructed is not None:
        figures |= _latent_figures(outputs.reconstructed, pixels=pixels)
    figures["per_class_accuracy"] = classified.per_class_accuracy.tolist()
    figures["confusion"] = classified.confusion.tolist()
    bounds = {name: interval(statistic) for name, statistic in statistics.items()}
    figures["intervals"] = {name: [bound.low, bound.high] for name, bound in bounds.items()}
    return figures


def holdout_figures(model: Model, split: Split, *, others: Sequence[ModelOutputs] = (), pad: int = 0) -> dict[str, Any]:
    """Measure retrieval among images of classes unseen in training.

    Args:
        model: The model.
        split: Images of the held-out classes.
        others: Outputs for images of the known classes, which the full gallery holds too.
        pad: Width of the border of the images.

    Returns:
        The figures, with `intervals`; and for comparison, each with figures of the same names, `pixels`, those of raw
        pixels by Euclidean distance, `chance`, those of one embedding for all images, and, where there are `others`,
        `full_gallery`, which is harder. Nothing where there are no images.
    """
    if not len(split):
        return {}
    labels, rows = split.labels.cpu(), pixel_rows(split, pad=pad)
    embeddings = model_outputs(model, split).embeddings
    figures: dict[str, Any] = {
        **_bounded_retrieval(embeddings, labels),
        "pixels": _bounded_retrieval(rows, labels, distance="euclidean"),
        "chance": retrieval_metrics(torch.ones(len(split), 1), labels, k=DEPTHS),
    }
    if others:
        gallery = torch.cat([embeddings, *(outputs.embeddings for outputs in others)])
        classes = torch.cat([labels, *(outputs.labels + int(labels.max()) + 1 for outputs in others)])
        own = torch.arange(len(split))
        figures["full_gallery"] = retrieval_metrics(embeddings, labels, gallery, classes, own=own, k=DEPTHS)
    return figures


def _bounded_retrieval(
    embeddings: Tensor, labels: Tensor, *, distance: Literal["cosine", "euclidean"] = "cosine"
) -> dict[str, Any]:
    """Measure retrieval, with 95 % intervals under `intervals`."""
    figures: dict[str, Any] = retrieval_metrics(embeddings, labels, k=DEPTHS, distance=distance)
    influences = retrieval_influences(embeddings, labels, k=DEPTHS, distance=distance)
    found = int((labels.bincount()[labels] > 1).sum())  # the others have no relevant image
    bounds = {
        name: interval(Statistic(value, influences[name], found, is_share=True, counts_images=name in HITS))
        for name, value in figures.items()
        if math.isfinite(value)
    }
    return {**figures, "intervals": {name: [bound.low, bound.high] for name, bound in bounds.items()}}


def _neighbours_classes(outputs: ModelOutputs, gallery: ModelOutputs, *, votes: int) -> Tensor:
    """Classify images by their nearest neighbours in a gallery; where it is themselves, by the others."""
    rows = None if gallery is outputs else gallery.embeddings
    return knn_classes(outputs.embeddings, gallery.labels, rows, k=votes)


def _latent_figures(part: Reconstructed, *, pixels: int) -> dict[str, Any]:
    kl = kl_per_image(part.mean, part.log_variance)
    return {
        "elbo": evidence_lower_bound(part.sampled_mse, kl.sum(1), pixels=pixels),
        "active_units": int(active_units(part.mean).sum()),
        "kl_per_dimension": kl.mean(0).tolist(),
    }


def _mean(column: NDArray[Any]) -> float:
    known = column[~np.isnan(column)]
    return float(known.astype(np.float64).mean()) if len(known) else float("nan")
