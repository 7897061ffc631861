"""Predictions for new images: class, confidence, and whether an image is unlike the training images."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.images import Split
from triptych.errors import DataError, DownloadError
from triptych.evaluation.measuring.outputs import BATCH, Model, model_outputs
from triptych.evaluation.opening import ModelLike, find_model, open_model
from triptych.files import replacing
from triptych.metrics import nearest_neighbours
from triptych.metrics.inputs import sampled_rows
from triptych.models import MultiTaskImageTransformer
from triptych.text import csv_cell, unicode_text

if TYPE_CHECKING:
    from triptych.data.own.unlabelled import Images
    from triptych.data.pixels.preprocessing import AnyImage

# N images, L latent_dim, R reference images.

REFERENCES = 10_000
"""Number of training images that new images are compared with."""
USUAL = 0.995
"""The quantile of validation images beyond which a distance or an error is unusual: about 1 % of them is flagged."""
CLOSE_BY = 5
"""Number of neighbours for the mean distance, as in the audit."""
COLUMNS = ("path", "class", "confidence", "unlike_training")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions, in the order of the images.

    Attributes:
        paths: The files, (N,); empty text for an image that came without a file.
        classes: The predicted class, (N,); None for a file that cannot be decoded.
        confidence: The probability of that class, (N,); NaN likewise.
        unlike_training: Whether the image is unlike the training images, (N,); None where it is not known.
        problems: The reasons for files that cannot be decoded, by path.
    """

    paths: tuple[str, ...]
    classes: tuple[str | None, ...]
    confidence: NDArray[np.float32]
    unlike_training: tuple[bool | None, ...]
    problems: dict[str, str]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def lacks_reference(self) -> bool:
        """Whether of no image that was classified it is known if it is unlike the training images."""
        flags = [flag for flag, name in zip(self.unlike_training, self.classes, strict=True) if name is not None]
        return bool(flags) and all(flag is None for flag in flags)


@dataclass(frozen=True, eq=False)
class Reference:
    """Training images to compare with.

    Attributes:
        points: Their latents, or the embeddings of a model without a latent, (R, L).
        farthest: The largest usual mean distance to the five nearest of them.
        largest_error: The largest usual reconstruction error; infinite without a decoder.
    """

    points: Tensor
    farthest: float
    largest_error: float


def predict(model: ModelLike, images: "Images", *, root: str | Path | None = None) -> Predictions:
    """Predict the classes of images of any size and mode.

    An image is unlike the training images where its mean distance to the five nearest of them in the latent space, or
    its reconstruction error, is larger than that of 99.5 % of the validation images. That takes the images of the run.

    Args:
        model: A checkpoint, a run folder, a run's name, or a model that `triptych.load` has loaded.
        images: Files, folders, PIL images, arrays or tensors: one, or any number of them.
        root: Where the images of the run are now; None: where training found them. Where they cannot be read,
            `unlike_training` is None.

    Raises:
        CheckpointError: There is no such model, or its file is damaged, or is a config.
        DataError: A folder holds no image.
    """
    from triptych.artefacts.checkpoint import read_model
    from triptych.artefacts.engines.torch_engine import choose_device
    from triptych.data.own.unlabelled import flattened, prefetched
    from triptych.data.pixels.opening import UndecodableImage

    reference = None
    try:
        opened = open_model(model, root=root)
        network: Model = opened.network
        reference = _reference(network, opened.data.train, opened.data.validation)
    except (DataError, DownloadError):
        network = read_model(find_model(model)).network().to(choose_device("auto"))
    saved = read_model(find_model(model)).description()
    preprocessing = saved.preprocessing

    def prepared(image: "AnyImage") -> tuple[str, NDArray[np.float32] | None, str]:
        path = str(image) if isinstance(image, str | Path) else ""
        try:
            return path, preprocessing.prepare(preprocessing.known(image)), ""
        except (UndecodableImage, OSError) as error:
            return path, None, str(error)

    rows: list[tuple[str, str | None, float, bool | None]] = []
    problems: dict[str, str] = {}
    for batch in prefetched(flattened(images), prepared, size=BATCH):
        found = iter(_judged(network, [pixels for _, pixels, _ in batch if pixels is not None], reference))
        for path, pixels, problem in batch:
            if pixels is None:
                problems[path] = problem
                rows.append((path, None, float("nan"), None))
            else:
                label, confidence, is_unlike = next(found)
                rows.append((path, saved.classes[label], confidence, is_unlike))
    return Predictions(
        paths=tuple(row[0] for row in rows),
        classes=tuple(row[1] for row in rows),
        confidence=np.array([row[2] for row in rows], dtype=np.float32),
        unlike_training=tuple(row[3] for row in rows),
        problems=problems,
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions atomically as CSV, or as Parquet if the name of the file ends with .parquet."""
    if path.suffix.lower() == ".parquet":
        import pyarrow
        import pyarrow.parquet

        columns = (
            [unicode_text(path) for path in predictions.paths],
            [None if name is None else unicode_text(name) for name in predictions.classes],
            [None if np.isnan(one) else one for one in predictions.confidence],
            predictions.unlike_training,
        )
        types = (pyarrow.string(), pyarrow.string(), pyarrow.float32(), pyarrow.bool_())
        arrays = [pyarrow.array(column, type=kind) for column, kind in zip(columns, types, strict=True)]
        with replacing(path) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(dict(zip(COLUMNS, arrays, strict=True))), temporary)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(csv_rows(predictions))


def csv_rows(predictions: Predictions) -> Iterator[tuple[str, ...]]:
    """Yield predictions as rows of a CSV file, the head first; what is not known is empty."""
    yield COLUMNS
    answers = {True: "yes", False: "no", None: ""}
    for path, name, confidence, is_unlike in zip(
        predictions.paths,
        predictions.classes,
        predictions.confidence.tolist(),
        predictions.unlike_training,
        strict=True,
    ):
        shown = "" if name is None else f"{confidence:.6g}"
        yield csv_cell(unicode_text(path)), csv_cell(unicode_text(name or "")), shown, answers[is_unlike]


@torch.inference_mode()
def _reference(network: Model, train: Split, validation: Split) -> Reference:
    def outputs(split: Split) -> tuple[Tensor, Tensor | None]:
        found = model_outputs(network, split.select(sampled_rows(len(split), at_most=REFERENCES, seed=0)))
        part = found.reconstructed
        return (found.embeddings, None) if part is None else (part.mean, part.mse)

    points, _ = outputs(train)
    usual, errors = outputs(validation)
    distances = _distances(usual, points)
    return Reference(
        points,
        farthest=float(torch.quantile(distances, USUAL)),
        largest_error=float("inf") if errors is None else float(torch.quantile(errors, USUAL)),
    )


def _distances(points: Tensor, references: Tensor) -> Tensor:
    found = nearest_neighbours(points, references, k=min(CLOSE_BY, len(references)), distance="euclidean")
    return found.distances.mean(1)


@torch.inference_mode()
def _judged(
    network: Model, pixels: list[NDArray[np.float32]], reference: Reference | None
) -> list[tuple[int, float, bool | None]]:
    """Return predicted label, its probability, and whether each image is unlike the training images."""
    if not pixels:
        return []
    images = torch.from_numpy(np.stack(pixels)).to(next(network.parameters()).device)
    output = network(images)
    confidence, labels = output.logits.float().softmax(1).max(1)
    unlike: list[bool | None] = [None] * len(pixels)
    if reference is not None:
        has_decoder = isinstance(network, MultiTaskImageTransformer)
        points = (output.mean if has_decoder else output.embedding).float().cpu()
        is_far = _distances(points, reference.points) > reference.farthest
        if has_decoder:
            errors = (output.reconstruction - images).square().flatten(1).mean(1).float().cpu()
            is_far |= errors > reference.largest_error
        unlike = is_far.tolist()
    return list(zip(labels.tolist(), confidence.tolist(), unlike, strict=True))
