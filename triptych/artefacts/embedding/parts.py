"""One shard of a job: a Parquet file with its embeddings, and a list of unreadable images."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from triptych.artefacts.embedding.plan import FOLDER, Plan, planned_images
from triptych.artefacts.embedding.sources import SourceReader
from triptych.artefacts.model import BATCH_SIZE, TrainedModel, softmax
from triptych.data.own.unlabelled import prefetched
from triptych.data.pixels.opening import UndecodableImage
from triptych.errors import DataError
from triptych.files import place_once, replacing

FINGERPRINT_KEY = b"triptych.model_fingerprint"
"""Key of the model's fingerprint in the schema of a Parquet file."""


class _Prepared(NamedTuple):
    """A preprocessed image, or the reason why it cannot be read."""

    image: dict[str, Any]
    pixels: NDArray[np.float32] | None
    reason: str


def write_part(
    folder: Path, plan: Plan, shard: int, model: TrainedModel, *, embedded: Callable[[int], None] = lambda _images: None
) -> int:
    """Embed the images of a shard and write its part atomically.

    Returns:
        The number of images of the shard, including unreadable ones.
    """
    import pyarrow as pa

    schema = part_schema(plan, model)
    failures: list[dict[str, str]] = []
    batches = []
    images = planned_images(folder, plan, plan.rows(shard))
    for batch in _batches(images, model):
        failures += [{"path": one.image["place"], "reason": one.reason} for one in batch if one.pixels is None]
        if good := [one for one in batch if one.pixels is not None]:
            batches.append(_rows(good, plan, model, schema))
        embedded(len(batch))
    table = pa.Table.from_batches(batches, schema)
    with replacing(plan.failures(folder, shard)) as temporary:
        temporary.write_text(json.dumps({"rows": len(table), "failures": failures}))
    place_table(table, plan.part(folder, shard), staging=folder / FOLDER, replaces=False)
    return len(images)


def place_table(table: Any, path: Path, *, staging: Path, replaces: bool = True) -> None:  # noqa: ANN401 - pyarrow
    """Write a Parquet file atomically.

    It is first written to the folder `staging`, so that a killed process never leaves a partial file where readers
    look for parts.

    Args:
        table: The rows.
        path: The file.
        staging: A folder on the same file system.
        replaces: Whether an existing file is replaced. A part by another process has the same rows, and may have been
            extended since.
    """
    import pyarrow.parquet as pq

    staged = staging / f"{uuid4().hex}-{path.name}"
    with replacing(staged) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    if replaces:
        staged.replace(path)
    else:
        place_once(staged, path)


def part_schema(plan: Plan, model: TrainedModel) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the columns of every part."""
    import pyarrow as pa

    kind = pa.float32() if plan.precision == "float32" else pa.float16()
    return pa.schema(
        {
            "id": pa.string(),
            "path": pa.string(),
            "label": pa.string(),
            "prediction": pa.string(),
            "probability": pa.float32(),
            "reconstruction_error": pa.float32(),
            "embedding": pa.list_(kind, plan.embedding_dim),
            **({"x": pa.float32(), "y": pa.float32()} if plan.has_map else {}),
        },
        metadata={FINGERPRINT_KEY: model.fingerprint.encode()},
    )


def _rows(batch: list[_Prepared], plan: Plan, model: TrainedModel, schema: Any) -> Any:  # noqa: ANN401 - pyarrow
    import pyarrow as pa

    pixels = np.stack([one.pixels for one in batch if one.pixels is not None])
    encoded = model.encode_pixels(pixels)
    probabilities = softmax(encoded.logits)
    errors = None if encoded.latents is None else model.squared_errors(pixels, encoded.latents)
    places = [one.image["place"] for one in batch]
    embeddings = encoded.embeddings.astype(np.dtype(plan.precision)).reshape(-1)
    columns = [
        pa.array(places, pa.string()),
        pa.array(places, pa.string()),
        pa.array([one.image["label"] for one in batch], pa.string()),
        pa.array([model.classes[label] for label in probabilities.argmax(1)], pa.string()),
        pa.array(probabilities.max(1), pa.float32()),
        pa.nulls(len(batch), pa.float32()) if errors is None else pa.array(errors, pa.float32()),
        pa.FixedSizeListArray.from_arrays(pa.array(embeddings), plan.embedding_dim),
        *([pa.nulls(len(batch), pa.float32())] * 2 if plan.has_map else []),  # filled in at the end of the job
    ]
    return pa.record_batch(columns, schema=schema)


def _batches(images: list[dict[str, Any]], model: TrainedModel) -> Iterator[list[_Prepared]]:
    """Preprocess images in order, a batch at a time; threads read the next ones in the meantime."""
    reader = SourceReader()

    def prepared(image: dict[str, Any]) -> _Prepared:
        preprocessing = model.description.preprocessing
        try:
            return _Prepared(image, preprocessing.prepare(preprocessing.known(reader.read(image["place"]))), "")
        except UndecodableImage as error:
            return _Prepared(image, None, error.reason)
        except DataError:  # an error of a table or a data set, not of one image
            raise
        except Exception as error:  # fsspec's file systems raise errors of any class
            return _Prepared(image, None, f"cannot be read ({type(error).__name__}: {error})")

    return prefetched(images, prepared, size=BATCH_SIZE)
