"""Images instead of arrays: index the files of a folder, search with an image, decide whether two show the same class.

A file's id is its absolute path, so that the same file has one id wherever the command is run. Its metadata are `path`,
`label` (the name of its folder, where it lies in one below the folder that was named), `prediction` and `probability`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.data.pixels.opening import NOT_UTF8
from triptych.errors import DataError, SearchError
from triptych.search.calibration import MOST_IMAGES, Calibration, LabelledVectors, calibrate
from triptych.search.contract import Index, Match
from triptych.search.opening import Location, create_index, open_index
from triptych.text import unicode_text

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel
    from triptych.data.images import Split
    from triptych.data.own.unlabelled import Images

AT_ONCE = 1024
"""Images, or rows of a table, that are added together."""
FINGERPRINT_KEY = b"triptych.model_fingerprint"
"""Where a Parquet file of embeddings names its model."""


@dataclass
class Report:
    """What became of images that were to be indexed.

    Attributes:
        added: How many are in the index now.
        failures: Files that could not be read, with the reason.
    """

    added: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """The answer of `same`, which can be used as a truth value.

    Attributes:
        same: Whether the similarity reaches the threshold.
        similarity: Cosine similarity of the two embeddings, in [-1, 1].
        threshold: The least similarity of a match.
    """

    same: bool
    similarity: float
    threshold: float

    def __bool__(self) -> bool:
        return self.same


def build_index(model: "TrainedModel", images: str | Path, location: Location) -> tuple[Index, Report]:
    """Make an index of images, and prepare it for fast search.

    Args:
        model: What embeds them.
        images: A folder, an image file, or a Parquet file or folder of embeddings by `triptych embed`.
        location: A new folder, or URLs of PostgreSQL databases; see `create_index`.

    Raises:
        DataError: There are no images.
        SearchError: There is an index already, or embeddings are of another model.
    """
    files = _Files.of(images)  # before there is an index: a wrong path makes none
    place = None if model.path is None else str(model.path.resolve())
    index = create_index(location, dimension=model.embedding_dim, fingerprint=model.fingerprint, model=place)
    report = files.add_to(index, model)
    index.compact()
    return index, report


def add_images(index: Index, model: "TrainedModel", images: str | Path) -> Report:
    """Add images to an index, and replace those that are there already; arguments and errors as of `build_index`."""
    return _Files.of(images).add_to(index, model)


def model_of(index: Index, model: "str | Path | TrainedModel | None" = None) -> "TrainedModel":
    """Return the model that an index belongs to.

    Args:
        index: The index.
        model: The model or its place; None loads it from where it was when the index was made.

    Raises:
        SearchError: There is none at that place, or another one.
        CheckpointError: The file is no model.
    """
    from triptych.artefacts.loading import load

    settings = index.settings()
    if model is None:
        if settings.model is None or not Path(settings.model).exists():
            raise SearchError(
                f"Expected the model of the index, {settings.fingerprint}, at {settings.model or 'a known place'}, but "
                "there is none. Name the model: --model on the command line, model= in Python."
            )
        model = settings.model
    loaded = load(model) if isinstance(model, str | Path) else model
    if loaded.fingerprint != settings.fingerprint:
        raise SearchError(
            f"Expected the model of the index, {settings.fingerprint}, got the model {loaded.fingerprint} "
            f"({loaded.path}); distances between two models mean nothing. Use the index's model, or index the images "
            "again."
        )
    return loaded


def search_images(
    index: Index,
    images: "Images",
    k: int = 10,
    *,
    where: str | None = None,
    exact: bool = False,
    model: "str | Path | TrainedModel | None" = None,
) -> list[list[Match]]:
    """Find the nearest images of an index for each image, nearest first; arguments as of `Index.search`."""
    embedded = model_of(index, model).embed(images)
    return index.search(embedded.vectors, k, where=where, exact=exact, fingerprint=embedded.fingerprint)


def calibrate_index(
    index: Index,
    *,
    false_match_rate: float = 0.01,
    model: "str | Path | TrainedModel | None" = None,
    root: str | Path | None = None,
) -> Calibration:
    """Choose the index's threshold of "no match" on the images of the model's own run, and store it.

    The threshold is chosen on pairs of validation images, and its rate of false matches is measured on test images of
    known classes, and of held-out classes where the run has them.

    Args:
        index: The index.
        false_match_rate: Share of pairs of two classes that may match.
        model: As in `model_of`.
        root: Where the images of the run lie now (`dataset.root`); None: where training found them.

    Raises:
        DataError, DownloadError: The images of the run cannot be read.
        SearchError: They are too few.
    """
    from triptych.evaluation.run_images import run_images

    loaded = model_of(index, model)
    data = run_images(loaded.description, root=root)
    val, test = _embedded(loaded, data.validation), _embedded(loaded, data.test)
    held_out = _embedded(loaded, data.holdout) if len(data.holdout) else None
    calibration = calibrate(val, test, held_out, false_match_rate=false_match_rate)
    index.set_calibration(calibration)
    return calibration


def same(
    a: "Images", b: "Images", *, index: Index | Location, model: "str | Path | TrainedModel | None" = None
) -> Comparison:
    """Decide whether two images show the same class, by the threshold of a calibrated index.

    Args:
        a: A path, a PIL image, an array or a tensor.
        b: Another one.
        index: A calibrated index, or its location.
        model: The model or its place; None loads the one that the index names.

    Returns:
        The answer, which can be used as a truth value, the similarity and the threshold.

    Raises:
        SearchError: The index has no threshold, or the model is another one.
        DataError: An image cannot be decoded.

    Example:
        >>> import tempfile, triptych
        >>> from triptych.search import LabelledVectors, calibrate
        >>> model = triptych.load("best.ckpt")
        >>> index, report = build_index(model, "photos", Path(tempfile.mkdtemp()) / "photos.index")
        >>> photos = model.embed("photos")
        >>> labelled = LabelledVectors(photos.vectors, [path.parent.name for path in photos.paths])
        >>> index.set_calibration(calibrate(labelled, labelled, false_match_rate=0.1))
        >>> bool(same("photos/cat/1.png", "photos/cat/1.png", index=index))
        True
    """
    opened = index if isinstance(index, Index) else open_index(index)
    try:
        calibration = opened.settings().calibration
        if calibration is None:
            raise SearchError(
                "Expected an index with a threshold, got one that is not calibrated. Run `triptych index calibrate "
                "INDEX` first."
            )
        loaded = model_of(opened, model)
    finally:
        if opened is not index:
            opened.close()
    vectors = [loaded.embed(image, progress=False).vectors for image in (a, b)]
    if [len(one) for one in vectors] != [1, 1]:
        raise SearchError(f"Expected two single images, got {len(vectors[0])} and {len(vectors[1])}.")
    similarity = float(vectors[0][0] @ vectors[1][0])
    return Comparison(similarity >= calibration.threshold, similarity, calibration.threshold)


def _embedded(model: "TrainedModel", split: "Split") -> LabelledVectors:
    """Embed the images of a split, at most as many as calibration uses, drawn with a fixed seed."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:MOST_IMAGES])
    parts = np.array_split(chosen, max(1, len(chosen) // AT_ONCE))
    vectors = [model.embed(split.images[part.tolist()].float() / 255, progress=False).vectors for part in parts]
    return LabelledVectors(np.concatenate(vectors), split.labels.cpu().numpy()[chosen])


def image_id(path: str | Path) -> str:
    """Return the id of an image file."""
    return Path(os.path.abspath(Path(path).expanduser())).as_posix()  # noqa: PTH100 - links are not followed


class _Files:
    """Image files below a folder, or alone."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        self.files = files
        self.root = root

    @staticmethod
    def of(images: str | Path) -> "_Files | _Table":
        """Look for image files, or files of embeddings, at a place.

        Raises:
            DataError: There are none.
        """
        from triptych.data.own.unlabelled import image_files

        place = Path(images).expanduser()
        if not place.exists():
            raise DataError(f"{place}: expected a folder of images or an image, but there is nothing. Check the path.")
        parts = sorted(place.glob("*.parquet")) if place.is_dir() else [place] if place.suffix == ".parquet" else []
        if parts:
            return _Table(parts)
        return _Files(image_files(place), place) if place.is_dir() else _Files([place], place.parent)

    def add_to(self, index: Index, model: "TrainedModel") -> Report:
        """Embed the files, a part at a time, and add them; files that cannot be read are left out and reported."""
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


class _Table:
    """Embeddings in Parquet files, as `triptych embed` writes them."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

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
        DataError: It is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            fingerprint = (file.schema_arrow.metadata or {}).get(FINGERPRINT_KEY, b"").decode(errors="replace")
            if not {"id", "embedding"} <= set(names) or not fingerprint:
                raise pa.ArrowInvalid("there are no columns id and embedding, or no fingerprint of a model")
            for batch in file.iter_batches(AT_ONCE):
                vectors = batch["embedding"].flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
                metadata = pa.Table.from_batches([batch]).drop_columns(["id", "embedding"])
                yield batch["id"].to_pylist(), vectors, metadata, fingerprint
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected embeddings as `triptych embed` writes them, but {error}. To index images instead, name "
            "their folder."
        ) from None
