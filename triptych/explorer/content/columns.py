"""What is known of each image as columns (N, …): the numbers by which the page places, colours and ranks images."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.evaluation.audit.labels import LabelDoubts
from triptych.explorer.collection import Collection
from triptych.explorer.content.layout import principal_axes
from triptych.explorer.viewpoint import Viewpoint

Columns = dict[str, NDArray[Any]]
"""Arrays by name, a row for each image; all of them are little-endian, and in C order."""

OTHER = "other/"
"""What the names of the second model's columns begin with."""


def image_columns(collection: Collection) -> Columns:
    """Return what no model is needed for: label (-1 where it is unknown), split, and row within the split."""
    return {
        "label": collection.labels.numpy().astype("<i4"),
        "split": collection.split.numpy().astype("u1"),
        "row": collection.position.numpy().astype("<i4"),
    }


def model_columns(view: Viewpoint) -> Columns:
    """Return a model's part: the same numbers as evaluation and audit compute.

    `suspicion` is the audit's doubt of the label, log odds, brought to (0, 1) by a function that keeps their order: the
    labels that the audit lists begin at 0.5; where it lists none, 0.5 is where an error is as probable as not. `likely`
    is 1 for the labels that it lists, and `agreement` is its vote of the neighbours for the label.
    """
    outputs = view.outputs
    confidence, prediction = outputs.probabilities.max(1)
    columns: Columns = {
        "prediction": prediction.numpy().astype("<i4"),
        "confidence": confidence.numpy().astype("<f4"),
        "probabilities": outputs.probabilities.numpy().astype("<f2"),
        "embedding": outputs.embeddings.numpy().astype("<f2"),
        "pca": principal_axes(outputs.embeddings.numpy()).astype("<f4"),
    }
    if outputs.reconstructed is not None:
        columns["reconstruction_error"] = outputs.reconstructed.mse.numpy().astype("<f4")
        columns["latent"] = outputs.reconstructed.mean.numpy().astype("<f4")
    if view.doubts is not None:
        columns |= _doubt_columns(view.doubts)
    return columns


def _doubt_columns(doubts: LabelDoubts) -> Columns:
    least = doubts.score[doubts.likely].min() if doubts.likely.any() else torch.zeros(())
    score = doubts.score.double() - least
    return {
        "suspicion": (0.5 + 0.5 * score / (1 + score.abs())).numpy().astype("<f4"),
        "suggestion": doubts.suggested.numpy().astype("<i4"),
        "agreement": doubts.agreement.numpy().astype("<f4"),
        "likely": doubts.likely.to(torch.uint8).numpy(),
    }


class Levels(NamedTuple):
    """A matrix (N, D) in whole levels from 0 to 255, each dimension with a range of its own."""

    levels: NDArray[np.uint8]
    """(N, D)."""
    scale: NDArray[np.float64]
    """Of a level, (D,)."""
    offset: NDArray[np.float64]
    """The value of level 0, (D,)."""

    def values(self) -> NDArray[np.float64]:
        """Return the matrix, up to half a level."""
        return self.offset + self.scale * self.levels


def in_levels(matrix: NDArray[np.floating]) -> Levels:
    """Bring a matrix (N, D) to levels: a byte each, and an error of at most 1/510 of the range of its dimension.

    Example:
        >>> in_levels(np.array([[0.0], [0.4], [1.0]])).levels.tolist()
        [[0], [102], [255]]
    """
    values = np.asarray(matrix, np.float64)
    offset = values.min(0)
    scale = np.maximum(np.ptp(values, axis=0) / 255, 1e-12)
    return Levels(np.rint((values - offset) / scale).astype(np.uint8), scale, offset)


def encoded(column: NDArray[Any]) -> bytes:
    """Return the bytes of a column: little-endian, in C order."""
    return np.ascontiguousarray(column, column.dtype.newbyteorder("<")).tobytes()
