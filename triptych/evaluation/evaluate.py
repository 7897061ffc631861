"""The truth about a trained model: everything that is measured of it on one split, for the report and metrics.json."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.splitting import stratified_split
from triptych.evaluation.baselines import measure_baselines
from triptych.evaluation.measures import Columns, holdout_figures, image_columns, split_figures
from triptych.evaluation.outputs import Model, ModelOutputs, model_outputs
from triptych.metrics import trustworthiness
from triptych.models import MultiTaskImageTransformer
from triptych.visualisation import project_tsne

SPLITS = ("test", "val", "train")
"""The names that metrics.json uses."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Embeddings laid out in the plane.

    Attributes:
        points: Places, (M, 2).
        indices: Which images of the split they are, (M,) int64, ascending.
    """

    points: NDArray[np.float32]
    indices: Tensor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is known of a model on one split.

    Attributes:
        split_name: One of SPLITS.
        split: Its images.
        outputs: What the model says of them.
        gallery: What the model says of the training images, which neighbours are looked for in.
        columns: The figures of each of its images.
        figures: What metrics.json holds under the split's name: numbers, and lists of numbers by class or dimension.
        holdout_figures: Retrieval among test images of the classes that training never saw; empty where there are none.
        baselines: What simple methods reach.
        map: A sample of the split in the plane.
    """

    split_name: str
    split: Split
    outputs: ModelOutputs
    gallery: ModelOutputs
    columns: Columns
    figures: dict[str, Any]
    holdout_figures: dict[str, float]
    baselines: dict[str, float]
    map: EmbeddingMap


def evaluate(model: Model, data: ImageDataModule, *, split_name: str) -> Evaluation:
    """Measure a model on a split of its data: the same model gives the same figures every time.

    Raises:
        ValueError: `split_name` is none of SPLITS.
    """
    split = named_split(data, split_name)
    gallery = model_outputs(model, data.train)
    outputs = gallery if split is data.train else model_outputs(model, split)
    columns = image_columns(model, split, outputs)
    figures = split_figures(columns, split, outputs, gallery)
    embedding_map = map_embeddings(outputs, samples=data.config.logging.tsne_samples, seed=data.config.training.seed)
    figures["trustworthiness"] = trustworthiness(outputs.embeddings[embedding_map.indices], embedding_map.points)
    return Evaluation(
        split_name=split_name,
        split=split,
        outputs=outputs,
        gallery=gallery,
        columns=columns,
        figures=figures,
        holdout_figures=holdout_figures(model, data.holdout),
        baselines=measure_baselines(
            data.train,
            split,
            embedding_dim=outputs.embeddings.shape[1],
            latent_dim=model.latent_dim if isinstance(model, MultiTaskImageTransformer) else None,
        ),
        map=embedding_map,
    )


def named_split(data: ImageDataModule, name: str) -> Split:
    """Return the split that metrics.json calls `name`.

    Raises:
        ValueError: There is no such split.
    """
    splits = dict(zip(SPLITS, (data.test, data.validation, data.train), strict=True))
    if name not in splits:
        raise ValueError(f"split_name must be one of {', '.join(SPLITS)}, but it is {name!r}")
    return splits[name]


def map_embeddings(outputs: ModelOutputs, *, samples: int, seed: int) -> EmbeddingMap:
    """Lay out up to `samples` embeddings by t-SNE, stratified by class."""
    indices = torch.arange(len(outputs))
    if len(indices) > samples:
        _, indices = stratified_split(outputs.labels, fraction=samples / len(indices), seed=seed)
    return EmbeddingMap(project_tsne(outputs.embeddings[indices], seed=seed), indices)
