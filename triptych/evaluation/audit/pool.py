"""All images of a run in one row, with what the model says of them: what every part of the audit looks at."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import Images, joined
from triptych.evaluation.outputs import Model, model_outputs
from triptych.metrics import nearest_neighbours

NEIGHBOURS = 20
"""Of each image, among all others."""

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Pool:
    """Images of all splits, N in all.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, as given.
        split: Positions in SPLITS, (N,).
        position: Where each image stands in the data set's own training or test file, (N,).
        names: What people call the images, (N,), where they have names.
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

    def __len__(self) -> int:
        return len(self.labels)

    def split_names(self) -> list[str]:
        """The name of each image's split."""
        return [SPLITS[number] for number in self.split.tolist()]

    def name(self, row: int) -> str:
        """What people call an image; its position where it has no name."""
        return f"{int(self.position[row]):,}" if self.names is None else self.names[row]


def pool_images(model: Model, data: ImageDataModule) -> Pool:
    """Run the model over training, validation and test images, and find each one's neighbours among all of them.

    Neighbours are looked for in the latent, where no panel has bent the space to the labels yet; a model without one is
    asked for its embeddings.
    """
    splits: list[Split] = [data.train, data.validation, data.test]
    outputs = [model_outputs(model, split) for split in splits]
    painted = [output.repainting for output in outputs if output.repainting is not None]
    space = torch.cat([part.mean for part in painted] if painted else [output.embeddings for output in outputs])
    found = nearest_neighbours(space, k=min(NEIGHBOURS, len(space) - 1), distance="euclidean")
    return Pool(
        images=joined([split.images for split in splits]),
        labels=torch.cat([output.labels for output in outputs]),
        split=torch.from_numpy(np.repeat(np.arange(len(splits)), [len(split) for split in splits])),
        position=torch.cat([data.positions[name] for name in SPLITS]),
        probabilities=torch.cat([output.logits.double().softmax(1) for output in outputs]),
        neighbours=found.indices,
        distances=found.distances.double(),
        error=torch.cat([part.squared_error for part in painted]).double() if painted else None,
        names=[name for split in splits for name in split.names or ()] or None,
    )
