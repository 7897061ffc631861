"""Sources of rows for an index: the image files of a folder, or embeddings written by `triptych embed`.

A file's id is its absolute path, so that it does not depend on the working directory. Its metadata are `path`, `label`
(the name of its sub-folder in the given folder, if any), `prediction` and `probability`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.artefacts.embedding.closing import SUCCESS
from triptych.artefacts.embedding.parts import FINGERPRINT_KEY
from triptych.artefacts.embedding.plan import FOLDER
from triptych.data.pixels.opening import NOT_UTF8
from triptych.errors import DataError, SearchError
from triptych.search.contract import Index
from triptych.text import unicode_text

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

    from triptych.artefacts.model import TrainedModel

AT_ONCE = 1024
"""Number of images, or rows of a table, that are added together."""


@dataclass
class Report:
    """Result of adding images to an index.

    Attributes:
        added: Number of images that were added.
        failures: Files that could not be read, with the reason.
    """

    added: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)


def to_add(images: str | Path, model: "TrainedModel") -> "ImageFiles | EmbeddingFiles":
    """Find image files, or files of embeddings, at a path.

    Raises:
        DataError: There are none, or embeddings are damaged or incomplete.
        SearchError: Embeddings are of another model.
    """
    from triptych.data.own.unlabelled import image_files

    place = Path(images).expanduser()
    if not place.exists():
        raise DataError(f"{place}: expected a folder of images or an image, but there is nothing. Check the path.")
    parts = sorted(place.glob("*.parquet")) if place.is_dir() else [place] if place.suffix == ".parquet" else []
    if not parts or (place.is_dir() and not any(map(_names_a_model, parts)) and _has_images(place)):
        return ImageFiles(image_files(place), place) if place.is_dir() else ImageFiles([place], place.parent)
    if (place / FOLDER).is_dir() and not (place / SUCCESS).exists():
        raise DataError(
            f"{place}: expected all embeddings of a job, but `triptych embed` has not completed it (there is no "
            f"{SUCCESS}). Repeat its command, which continues, or name the files that are there one by one."
        )
    found = EmbeddingFiles(parts)
    found.check(model)
    return found


def _names_a_model(path: Path) -> bool:
    """Return whether a Parquet file belongs to embeddings, and not to a folder of images, such as a table of labels."""
    try:
        with _opened(path) as file:
            return bool(_fingerprint(file))
    except DataError:
        return False


def _has_images(folder: Path) -> bool:
    from triptych.data.own.unlabelled import image_files

    try:
        return bool(image_files(folder))
    except DataError:
        return False


def image_id(path: str | Path) -> str:
    """Return the id of an image file."""
    return Path(os.path.abspath(Path(path).expanduser())).as_posix()  # noqa: PTH100 - links are not followed


class ImageFiles:
    """Image files below a folder, or alone."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        self.files = files
        self.root = root

    def add_to(self, index: Index, model: "TrainedModel") -> Report:
        """Embed the files, a part at a time, and add them; unreadable files are skipped and reported."""
        report, named = Report(), list[Path]()
        for path in self.files:
            if image_id(path) == unicode_text(image_id(path)):
                named.append(path)
            else:
                report.failures.append((path, NOT_UTF8))
        for first in range(0, len(named), AT_ONCE):
            files = named[first : first + AT_ONCE]
            try:
                self._add(index, model, files, report)
            except DataError:  # one of them: find out which
                good = [path for path in files if _is_readable(model, path, report)]
                self._add(index, model, good, report)
        return report

    def _add(self, index: Index, model: "TrainedModel", files: Sequence[Path], report: Report) -> None:
        from triptych.artefacts.model import softmax

        if not files:
            return
        outputs = [encoded for encoded, _ in model.outputs(files)]
        probabilities = softmax(np.concatenate([encoded.logits for encoded in outputs]))
        ids = [image_id(path) for path in files]
        metadata = {
            "path": ids,
            "label": [self._label(path) for path in files],
            "prediction": [model.classes[number] for number in probabilities.argmax(1)],
            "probability": probabilities.max(1),
        }
        vectors = np.concatenate([encoded.embeddings for encoded in outputs])
        index.add(ids, vectors, metadata, fingerprint=model.fingerprint)
        report.added += len(files)

    def _label(self, path: Path) -> str | None:
        return path.parent.name if path.parent != self.root else None


def _is_readable(model: "TrainedModel", path: Path, report: Report) -> bool:
    try:
        for _ in model.outputs([path], progress=False):
            pass
    except DataError as error:
        report.failures.append((path, getattr(error, "reason", str(error))))
        return False
    return True


class EmbeddingFiles:
    """Embeddings in Parquet files, written by `triptych embed`."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def check(self, model: "TrainedModel") -> None:
        """Check, before adding, that every file has embeddings of the model.

        Raises:
            DataError: A file has no embeddings.
            SearchError: A file belongs to another model.
        """
        for path in self.files:
            with _opened(path) as file:
                fingerprint = _fingerprint(file)
            if fingerprint != model.fingerprint:
                raise SearchError(
                    f"{path}: its embeddings come from the model {fingerprint}, but the index holds those of the model "
                    f"{model.fingerprint} ({model.path}); distances between two models mean nothing. Embed the images "
                    "again, or name their own model."
                )

    def add_to(self, index: Index, model: "TrainedModel") -> Report:
        """Add the rows of all files."""
        report = Report()
        del model  # the files record which model made them
        for path in self.files:
            for ids, vectors, metadata, fingerprint in _rows(path):
                index.add(ids, vectors, metadata, fingerprint=fingerprint)
                report.added += len(ids)
        return report


def _rows(path: Path) -> Iterator[tuple[list[str], Any, Any, str]]:
    """Read a file of embeddings, a part at a time.

    Raises:
        DataError: It is not such a file, or is damaged.
    """
    import pyarrow as pa

    with _opened(path) as file:
        fingerprint = _fingerprint(file)
        for batch in file.iter_batches(AT_ONCE):
            vectors = batch["embedding"].flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
            metadata = pa.Table.from_batches([batch]).drop_columns(["id", "embedding"])
            yield batch["id"].to_pylist(), vectors, metadata, fingerprint


@contextmanager
def _opened(path: Path) -> "Iterator[ParquetFile]":
    """Open a file of embeddings; errors, also within the block, are converted to a DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected embeddings as `triptych embed` writes them, but {error}. To index images instead, name "
            "their folder."
        ) from None


def _fingerprint(file: "ParquetFile") -> str:
    """Return the fingerprint of the model in a file of embeddings.

    Raises:
        ArrowInvalid: It has none, or other columns.
    """
    import pyarrow as pa

    schema = file.schema_arrow
    fingerprint: str = (schema.metadata or {}).get(FINGERPRINT_KEY, b"").decode(errors="replace")
    if not {"id", "embedding"} <= set(schema.names) or not fingerprint:
        raise pa.ArrowInvalid("there are no columns id and embedding, or no fingerprint of a model")
    return fingerprint
