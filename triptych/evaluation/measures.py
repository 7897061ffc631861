"""The figures of a split: those of each image, and those of all of them together."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.data.pixels.mapped import parts
from triptych.evaluation.outputs import BATCH, Model, ModelOutputs, Repainting, model_outputs, reconstructions
from triptych.metrics import (
    active_units,
    alignment,
    classification_metrics,
    clustering_metrics,
    effective_rank,
    evidence_lower_bound,
    kl_per_image,
    knn_accuracy,
    reconstruction_scores,
    retrieval_metrics,
    retrieval_scores,
    spread,
    uniformity,
)
from triptych.models import MultiTaskImageTransformer

Columns = dict[str, NDArray[Any]]
"""Arrays (N,) by name, a row for each image of a split, in its order."""

AVERAGED = (
    *("nll", "precision_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r", "mrr"),
    *("mse", "psnr", "ssim", "kl_divergence"),
)
"""Columns whose mean over the images is a figure of the split; an image alone in its class has nobody to find."""

VOTES = 5
"""Neighbours whose classes `knn_accuracy` counts."""


def image_columns(model: Model, split: Split, outputs: ModelOutputs) -> Columns:
    """Measure every image of a split by itself.

    Neighbours are looked for among the other images of the split.
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
    columns |= {
        name: scores.float() for name, scores in retrieval_scores(outputs.embeddings, outputs.labels, k=(5, 10)).items()
    }
    if isinstance(model, MultiTaskImageTransformer) and outputs.repainting is not None:
        columns |= _painted(model, split)
        columns["kl_divergence"] = kl_per_image(outputs.repainting.mean, outputs.repainting.log_variance).sum(1).float()
    return {name: column.numpy() for name, column in columns.items()}


def split_figures(columns: Columns, split: Split, outputs: ModelOutputs, gallery: ModelOutputs) -> dict[str, Any]:
    """Measure a split as a whole; names are explained in `triptych.runs.definitions`.

    Args:
        columns: Its images' own figures.
        split: Its images.
        outputs: What the model says of them.
        gallery: What the model says of the training images; of a training image, the others are looked at.
    """
    classified = classification_metrics(outputs.probabilities, outputs.labels)
    neighbours = (None, None) if gallery is outputs else (gallery.embeddings, gallery.labels)
    clustered = clustering_metrics(outputs.embeddings, outputs.labels)
    figures: dict[str, Any] = {
        "accuracy": classified.accuracy,
        "macro_f1": classified.macro_f1,
        "ece": classified.ece,
        "nearest_neighbour_accuracy": knn_accuracy(outputs.embeddings, outputs.labels, *neighbours, k=1),
        "knn_accuracy": knn_accuracy(outputs.embeddings, outputs.labels, *neighbours, k=VOTES),
        "nmi": clustered.nmi,
        "ami": clustered.ami,
        "silhouette": clustered.silhouette,
        "alignment": alignment(outputs.embeddings, outputs.labels),
        "uniformity": uniformity(outputs.embeddings),
        "effective_rank": effective_rank(outputs.embeddings),
        "spread": spread(outputs.embeddings),
    }
    figures |= {name: _mean(columns[name]) for name in AVERAGED if name in columns}
    if outputs.repainting is not None:
        figures |= _latent_figures(outputs.repainting, pixels=split.images.shape[1:].numel())
    figures["per_class_accuracy"] = classified.per_class_accuracy.tolist()
    figures["confusion"] = classified.confusion.tolist()
    return figures


def holdout_figures(model: Model, split: Split) -> dict[str, float]:
    """Measure retrieval among images of classes that training never saw; nothing where there are no images."""
    if not len(split):
        return {}
    return retrieval_metrics(model_outputs(model, split).embeddings, split.labels.cpu(), k=(5, 10))


def _painted(model: MultiTaskImageTransformer, split: Split) -> dict[str, Tensor]:
    """Compare every image with its reconstruction, a batch at a time."""
    scores = [
        reconstruction_scores(reconstructions(model, images), images.cpu().float() / 255)
        for images in parts(split.images, BATCH)
    ]
    return {name: torch.cat([getattr(part, name) for part in scores]) for name in ("mse", "psnr", "ssim")}


def _latent_figures(repainting: Repainting, *, pixels: int) -> dict[str, Any]:
    kl = kl_per_image(repainting.mean, repainting.log_variance)
    return {
        "elbo": evidence_lower_bound(repainting.sampled_error, kl.sum(1), pixels=pixels),
        "active_units": int(active_units(repainting.mean).sum()),
        "kl_per_dimension": kl.mean(0).tolist(),
    }


def _mean(column: NDArray[Any]) -> float:
    known = column[~np.isnan(column)]
    return float(known.astype(np.float64).mean()) if len(known) else float("nan")
