"""The outputs of one model for the images of a page, computed by the same functions as evaluation and audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.artefacts.engines.torch_engine import Network
from triptych.artefacts.model import TrainedModel
from triptych.data.images import Split
from triptych.data.own.unlabelled import image_batches
from triptych.data.pixels.mapped import Images, parts
from triptych.evaluation.audit.audit import Audit, audit_pool
from triptych.evaluation.audit.labels import LabelDoubts
from triptych.evaluation.audit.pool import SPLITS, pool_outputs
from triptych.evaluation.measuring.outputs import ModelOutputs, Reconstructed, model_outputs
from triptych.explorer.collection import Collection
from triptych.explorer.content.findings import listed_findings

# N images, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

AT_ONCE = 256
FEWEST = 2
"""Images of which one can be another's neighbour."""


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A model and its outputs for the images of a page.

    Attributes:
        model: The model.
        name: What people call it.
        outputs: Outputs for each image.
        doubts: Doubts about each label; None without an audit.
        findings: What an audit lists, as the page has it; None where not every label is known, or they are too few.
    """

    model: TrainedModel
    name: str
    outputs: ModelOutputs
    doubts: LabelDoubts | None
    findings: Mapping[str, Any] | None


def look_at(collection: Collection, model: TrainedModel, *, name: str, prepared: bool) -> Viewpoint:
    """Run a model over the images of a page, and audit them among themselves.

    Args:
        collection: The images.
        model: The model.
        name: What people call it.
        prepared: Whether the images were prepared for this model; else they are prepared again, from their files where
            they have some.
    """
    images = collection.images if prepared else _prepared_again(collection, model)
    outputs = _outputs(model, images, collection.labels)
    audit = audited(collection, model, images, outputs)
    if audit is None:
        return Viewpoint(model, name, outputs, doubts=None, findings=None)
    return Viewpoint(model, name, outputs, doubts=audit.doubts, findings=listed_findings(audit))


def audited(collection: Collection, model: TrainedModel, images: Images, outputs: ModelOutputs) -> Audit | None:
    """Audit the images of a page by what a model has computed of them, as `triptych audit` audits those of a run.

    Args:
        collection: The images.
        model: The model.
        images: The same images as they were prepared for the model, uint8 (N, C, H, W).
        outputs: Outputs for these images.

    Returns:
        What was found; None where the model's classes are others, not every label is known, or there are too few.
    """
    if not (collection.has_labels and model.classes == collection.classes and len(collection) >= FEWEST):
        return None
    # Images that are in no split were not trained on: they count like test images.
    known = [SPLITS.index(name if name in SPLITS else "test") for name in collection.split_names]
    pool = pool_outputs(
        outputs,
        images=images,
        split=torch.tensor(known)[collection.split],
        position=collection.position,
        names=list(collection.names) if collection.names is not None else None,
    )
    return audit_pool(pool, collection.classes)


def network_of(model: TrainedModel) -> Network | None:
    """Return the network of PyTorch; None for a model that was loaded from ONNX files."""
    try:
        return model.network
    except ValueError:
        return None


def _outputs(model: TrainedModel, images: Images, labels: Tensor) -> ModelOutputs:
    if (network := network_of(model)) is not None:
        return model_outputs(network, Split(images, labels), pad=model.description.preprocessing.pad)
    embeddings, logits, reconstructed = [], [], []
    for part in parts(images, AT_ONCE):
        pixels = part.numpy().astype(np.float32) / np.float32(255)
        encoded = model.encode_pixels(pixels)
        embeddings.append(torch.from_numpy(encoded.embeddings))
        logits.append(torch.from_numpy(encoded.logits))
        if encoded.latents is not None:
            errors = torch.from_numpy(model.squared_errors(pixels, encoded.latents))
            reconstructed.append((torch.from_numpy(encoded.latents), errors))
    latents = [torch.cat(column) for column in zip(*reconstructed, strict=True)]
    return ModelOutputs(labels, torch.cat(embeddings), torch.cat(logits), _of_means(*latents) if latents else None)


def _of_means(mean: Tensor, mse: Tensor) -> Reconstructed:
    """Return what ONNX files can compute of reconstructions: the variance of the posterior is not among it."""
    unknown = torch.full_like(mse, torch.nan)
    return Reconstructed(mean, torch.full_like(mean, torch.nan), mse, unknown, unknown, unknown)


def _prepared_again(collection: Collection, model: TrainedModel) -> Tensor:
    """Prepare the images of a page for another model, from their files, or else from the pixels that are there."""

    def source(row: int) -> Path | bytes | NDArray[np.uint8]:
        found = collection.original(row)
        return _picture(collection.pixels(slice(row, row + 1))[0]) if found is None else found

    batches = image_batches(map(source, range(len(collection))), model.description.preprocessing, size=AT_ONCE)
    return torch.cat([torch.from_numpy(np.rint(batch.pixels * 255).astype(np.uint8)) for batch in batches])


def _picture(image: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = image.permute(1, 2, 0).contiguous().numpy()
    return pixels
