"""All measurements of a trained model on one split of its run, for the report and metrics.json."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.baselines import Baselines, measure_baselines
from triptych.evaluation.measuring.measures import holdout_figures, measure_split
from triptych.evaluation.measuring.outputs import Model, ModelOutputs, model_outputs
from triptych.metrics import trustworthiness
from triptych.metrics.inputs import stratified_rows
from triptych.models import MultiTaskImageTransformer
from triptych.runs.per_image import PerImage
from triptych.visualisation import project_tsne

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """A 2D map of embeddings.

    Attributes:
        points: Positions, (M, 2).
        indices: Positions of the images in the split, (M,) int64, ascending.
    """

    points: NDArray[np.float32]
    indices: Tensor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The measurements of a model on one split.

    Attributes:
        split_name: "train", "val" or "test".
        split: Its images.
        classes: The class names.
        outputs: The model's outputs for them.
        table: The results of each image.
        figures: The content of metrics.json under the split's name: numbers, lists of numbers by class or dimension,
            and `intervals`.
        holdout: Retrieval among test images of the held-out classes, with `full_gallery`, `chance` and `pixels`; empty
            if there are none.
        baselines: The metrics of simple baselines.
        map: A 2D map of a sample of the split.
        image_shape: Channels, height and width of an image, without the border that `dataset.pad` adds.
    """

    split_name: str
    split: Split
    classes: tuple[str, ...]
    outputs: ModelOutputs
    table: PerImage
    figures: dict[str, Any]
    holdout: dict[str, Any]
    baselines: Baselines
    map: EmbeddingMap
    image_shape: tuple[int, int, int]

    def metrics(self) -> dict[str, Any]:
        """Return the content of metrics.json: the split's figures under its name, and those of held-out classes."""
        figures = {**self.figures, "baselines": self.baselines.figures}
        return {self.split_name: figures, **({"holdout": self.holdout} if self.holdout else {})}

    @property
    def nearest_correct(self) -> NDArray[np.bool_]:
        """Whether the nearest training image has the class of each image, (N,)."""
        columns = self.table.columns
        return np.asarray(columns.get("nearest_class", -1) == columns["label"])

    def name(self, row: int) -> str:
        """Return the file of an image, or its position in the split."""
        return f"image {row}" if self.split.names is None else self.split.names[row]


def measure(model: Model, data: ImageDataModule, *, split: str) -> Evaluation:
    """Measure a model on a split of its data; the result is reproducible.

    Raises:
        ValueError: There is no such split.
    """
    images, pad = named_split(data, split), data.config.dataset.pad
    gallery = None if images is data.train else model_outputs(model, data.train, pad=pad)
    outputs, table, figures = measure_split(model, images, gallery=gallery or "itself", pad=pad)
    embedding_map = map_embeddings(outputs, samples=data.config.logging.tsne_samples, seed=data.config.training.seed)
    figures["trustworthiness"] = trustworthiness(outputs.embeddings[embedding_map.indices], embedding_map.points)
    others = [outputs] if gallery is None else [outputs, gallery]
    return Evaluation(
        split_name=split,
        split=images,
        classes=data.classes,
        outputs=outputs,
        table=table,
        figures=figures,
        holdout=holdout_figures(model, data.holdout, others=others, pad=pad),
        baselines=measure_baselines(
            data.train,
            images,
            embedding_dim=outputs.embeddings.shape[1],
            latent_dim=model.latent_dim if isinstance(model, MultiTaskImageTransformer) else None,
            pad=pad,
        ),
        map=embedding_map,
        image_shape=data.config.dataset.stored_shape,
    )


def named_split(data: ImageDataModule, name: str) -> Split:
    """Return the split that metrics.json calls `name`.

    Raises:
        ValueError: There is no such split.
    """
    splits = dict(zip(SPLITS, (data.train, data.validation, data.test), strict=True))
    if name not in splits:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, but it is {name!r}")
    return splits[name]


def map_embeddings(outputs: ModelOutputs, *, samples: int, seed: int) -> EmbeddingMap:
    """Compute a t-SNE map of up to `samples` embeddings, stratified by class."""
    indices = stratified_rows(outputs.labels, at_most=samples, seed=seed)
    return EmbeddingMap(project_tsne(outputs.embeddings[indices], seed=seed), indices)
