"""All images of a run in one sequence, with the outputs of the model: the input of every part of the audit."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import Images, joined
from triptych.evaluation.measuring.outputs import Model, ModelOutputs, joined_outputs, model_outputs
from triptych.metrics import nearest_neighbours

NEIGHBOURS = 20
"""Number of neighbours of each image among all others."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Pool:
    """Images of all splits, N in total.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, the given labels.
        split: Positions in SPLITS, (N,).
        position: Where each image stands in the data set's own training or test file, (N,).
        names: The files of the images, (N,), where they have files.
        outputs: All outputs of the model for the images; None if the pool was created without a model.
        probabilities: The classifier's, (N, K) float64.
        neighbours: The nearest other images, nearest first, (N, k).
        distances: Their distances, (N, k) float64.
        error: Squared error of the reconstruction, per pixel in [0, 1], (N,); None without a decoder.
    """

    images: Images
    labels: Tensor
    split: Tensor
    position: Tensor
    probabilities: Tensor
    neighbours: Tensor
    distances: Tensor
    error: Tensor | None
    names: list[str] | None = None
    outputs: ModelOutputs | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def split_name(self, row: int) -> str:
        """Return the split of an image."""
        return SPLITS[int(self.split[row])]

    def name(self, row: int) -> str:
        """Return the file of an image, or its position in the data set's own file if it has none."""
        return f"image {int(self.position[row])}" if self.names is None else self.names[row]


def pool_images(model: Model, data: ImageDataModule) -> Pool:
    """Run the model on training, validation and test images, and find the neighbours of each among all of them.

    Neighbours are those in the latent space, which depends less on the labels than the embeddings do; those of the
    embeddings for a model without a latent.
    """
    splits: list[Split] = [data.train, data.validation, data.test]
    return pool_outputs(
        joined_outputs([model_outputs(model, split, pad=data.config.dataset.pad) for split in splits]),
        images=joined([split.images for split in splits]),
        split=torch.from_numpy(np.repeat(np.arange(len(splits)), [len(split) for split in splits])),
        position=torch.cat([data.positions[name] for name in ("train", "validation", "test")]),
        names=[name for split in splits for name in split.names or ()] or None,
    )


def pool_outputs(
    outputs: ModelOutputs, *, images: Images, split: Tensor, position: Tensor, names: list[str] | None
) -> Pool:
    """Pool images with known outputs, and find the neighbours of each among all of them.

    Args:
        outputs: Outputs for the N images, in order.
        images: uint8 (N, C, H, W).
        split: Positions in SPLITS, (N,).
        position: Where each image stands in the data set's own training or test file, (N,).
        names: The files of the images, (N,), where they have files.
    """
    decoded = outputs.reconstructed
    space = outputs.embeddings if decoded is None else decoded.mean
    found = nearest_neighbours(space, k=min(NEIGHBOURS, len(space) - 1), distance="euclidean")
    return Pool(
        images=images,
        labels=outputs.labels,
        split=split,
        position=position,
        probabilities=outputs.logits.double().softmax(1),
        neighbours=found.indices,
        distances=found.distances.double(),
        error=None if decoded is None else decoded.mse.double(),
        names=names,
        outputs=outputs,
    )
