"""Description of a model for the page, as plain values: `ModelInfo` of the page's manifest."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.artefacts.export.exporting import measured_metrics
from triptych.explorer.collection import Collection
from triptych.explorer.content.layout import principal_projection
from triptych.explorer.content.networks import LIBRARIES, PageNetworks
from triptych.explorer.viewpoint import Viewpoint
from triptych.inspection.drawings import drawn_in_strokes

RESIZE = {"letterbox": "pad", "crop": "crop", "stretch": "stretch", "exact": "stretch"}
"""Names on the page of the methods to fit an image to the model's size."""

STROKES = ("digits", "mnist")
"""Data sets whose images a user can draw."""

SAMPLED = 256
"""Images at which the background is looked for."""


def model_info(view: Viewpoint, collection: Collection, networks: PageNetworks) -> dict[str, Any]:
    """Describe a model to the page.

    Height and width are those of images as they come from files: the border of `dataset.pad` is the networks' own
    affair.
    """
    model, outputs = view.model, view.outputs
    channels, height, width = model.description.preprocessing.shape
    latents = None if outputs.reconstructed is None else outputs.reconstructed.mean
    background = _background(collection)
    return {
        "name": view.name,
        "fingerprint": model.fingerprint,
        "classes": list(model.classes),
        "channels": channels,
        "height": height,
        "width": width,
        "embeddingDim": model.embedding_dim,
        "latentDim": model.latent_dim or 0,
        "activeDimensions": [] if latents is None else latents.var(0, correction=0).argsort(descending=True).tolist(),
        "encoder": "page" if networks.encoder else "server" if _is_servers(view) else "none",
        "decoder": "page" if networks.decoder else "none",
        "strokes": channels == 1 and _are_strokes(view, collection),
        "background": background if len(background) == channels else [0.0] * channels,
        "classLatents": _class_latents(view, collection, latents),
        "metrics": _metrics(view, same_classes=model.classes == collection.classes),
        "pca": _projection(view),
        "resize": RESIZE[model.description.preprocessing.fit],
    }


def _is_servers(view: Viewpoint) -> bool:
    return (view.model.config.model.backbone or "").startswith(LIBRARIES)


def _background(collection: Collection) -> list[float]:
    """Return the median of each channel along the edges of images, in [0, 1]."""
    images = collection.pixels(slice(0, SAMPLED)).float() / 255
    edges = [images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]]
    values = torch.cat(edges, dim=2).transpose(0, 1).flatten(1)
    return [round(float(value), 4) for value in values.median(1).values]


def _are_strokes(view: Viewpoint, collection: Collection) -> bool:
    if view.model.config.dataset.name in STROKES:
        return True
    images = collection.pixels(slice(0, SAMPLED))
    return images.shape[1] == 1 and drawn_in_strokes(images[:, 0].numpy())


def _projection(view: Viewpoint) -> dict[str, list[Any]]:
    """Return how a new embedding is placed on the map of principal axes."""
    mean, axes = principal_projection(view.outputs.embeddings.numpy())
    return {"mean": np.round(mean, 6).tolist(), "axes": np.round(axes.T, 6).tolist()}


def _class_latents(view: Viewpoint, collection: Collection, latents: Tensor | None) -> dict[str, list[list[float]]]:
    """Return mean and standard deviation of the latents of each class, (K, L); the prior's for a class of no image."""
    if latents is None:
        return {"mean": [], "std": []}
    same = view.model.classes == collection.classes and collection.has_labels
    labels = view.outputs.labels if same else view.outputs.logits.argmax(1)
    mean = np.zeros((len(view.model.classes), latents.shape[1]))
    std = np.ones_like(mean)
    for label in np.unique(labels.numpy()).tolist():
        of_class = latents[labels == label].double().numpy()
        mean[label] = of_class.mean(0)
        if len(of_class) > 1:
            std[label] = of_class.std(0)
    return {"mean": np.round(mean, 5).tolist(), "std": np.round(std, 5).tolist()}


def _metrics(view: Viewpoint, *, same_classes: bool) -> dict[str, float]:
    """Return what is known of the model's test images, or was measured on the images of the page."""
    known = {name: float(value) for name, value in measured_metrics(view.model).items() if math.isfinite(value)}
    labels = view.outputs.labels
    if "accuracy" not in known and len(labels) and same_classes and bool((labels >= 0).all()):
        known["accuracy"] = float((view.outputs.logits.argmax(1) == labels).double().mean())
    return known
