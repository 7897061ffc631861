"""Search with images instead of arrays: index a folder, search by image, compare two images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triptych.errors import SearchError
from triptych.search.adding import AT_ONCE, Report, to_add
from triptych.search.calibration import MOST_IMAGES, Calibration, LabelledVectors, calibrate
from triptych.search.contract import Index, Match
from triptych.search.opening import Location, create_index, open_index

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel
    from triptych.data.images import Split
    from triptych.data.own.unlabelled import Images


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
    """Create an index of images, and prepare it for fast search.

    Args:
        model: The model that embeds them.
        images: A folder, an image file, or a complete Parquet file or folder of embeddings by `triptych embed`.
        location: A new folder, or URLs of PostgreSQL databases; see `create_index`.

    Raises:
        DataError: There are no images, or embeddings are damaged or incomplete.
        SearchError: The index already exists, or embeddings belong to another model.
    """
    files = to_add(images, model)  # before the index is created, so that an error creates none
    place = None if model.path is None else str(model.path.resolve())
    index = create_index(location, dimension=model.embedding_dim, fingerprint=model.fingerprint, model=place)
    report = files.add_to(index, model)
    index.compact()
    return index, report


def add_images(index: Index, model: "TrainedModel", images: str | Path) -> Report:
    """Add images to an index, and replace existing ones; arguments and errors as in `build_index`."""
    return to_add(images, model).add_to(index, model)


def model_of(index: Index, model: "str | Path | TrainedModel | None" = None) -> "TrainedModel":
    """Return the model that an index belongs to.

    Args:
        index: The index.
        model: The model or its path; None loads it from its path when the index was created.

    Raises:
        SearchError: There is no model at that path, or another one.
        CheckpointError: The file is not a model.
    """
    from triptych.artefacts.loading import load
    from triptych.artefacts.model import TrainedModel

    settings = index.settings()
    if model is None:
        if settings.model is None or not Path(settings.model).exists():
            raise SearchError(
                f"Expected the model of the index, {settings.fingerprint}, at {settings.model or 'a known place'}, but "
                "there is none. Name the model: --model on the command line, model= in Python."
            )
        model = settings.model
    loaded = load(model) if isinstance(model, str | Path) else model
    if not isinstance(loaded, TrainedModel):
        raise TypeError(f"a model is its place, or what triptych.load returns, but got {type(model).__name__}")
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
    """Find the nearest images of an index for each image, nearest first; arguments as in `Index.search`."""
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
    known classes, and of held-out classes if the run has any.

    Args:
        index: The index.
        false_match_rate: Share of pairs of two classes that may match.
        model: As in `model_of`.
        root: Current location of the run's images (`dataset.root`); None: that of training.

    Raises:
        DataError, DownloadError: The images of the run cannot be read.
        SearchError: They are too few.

    Warns:
        ImageWarning: The images of the run differ from those of training.
    """
    from triptych.evaluation.run_images import images_of_run

    loaded = model_of(index, model)
    data = images_of_run(loaded, root=root)
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
        model: The model or its path; None loads the model of the index.

    Returns:
        The answer, which can be used as a truth value, the similarity and the threshold.

    Raises:
        SearchError: The index has no threshold, or belongs to another model.
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
    """Embed a seeded sample of the images of a split, at most as many as calibration uses."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:MOST_IMAGES])
    parts = np.array_split(chosen, max(1, len(chosen) // AT_ONCE))
    vectors = [model.embed(split.images[part.tolist()].float() / 255, progress=False).vectors for part in parts]
    return LabelledVectors(np.concatenate(vectors), split.labels.cpu().numpy()[chosen])
