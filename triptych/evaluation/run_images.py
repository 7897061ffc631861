"""The images of a trained model's run, split as training split them."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.artefacts.description import ModelDescription
from triptych.data.builder import moved, open_images
from triptych.data.listing import listed
from triptych.data.module import ImageDataModule
from triptych.errors import DataError, ImageWarning

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel


def run_images(description: ModelDescription, *, root: str | Path | None = None) -> ImageDataModule:
    """Open the images of a run.

    Args:
        description: Description of the run's model.
        root: Current location of the run's images (`dataset.root`); None: that of training.

    Raises:
        DataError, DownloadError: They cannot be read, or have other classes than the model.
        TypeError: The root is not a path.
    """
    config = description.config
    if root is not None:
        config = moved(config, root)
    data = ImageDataModule(*open_images(config))
    if data.classes != description.classes:
        raise DataError(
            f"{data.title}: expected images of the model's classes, {listed(description.classes)}; got "
            f"{listed(data.classes)}. Name the folder of the run's own images (root)."
        )
    return data


def images_of_run(model: "TrainedModel", *, root: str | Path | None = None) -> ImageDataModule:
    """Open the images of the run that trained a loaded model; arguments and errors are those of `run_images`.

    Warns:
        ImageWarning: They differ from those of training.
    """
    from triptych.artefacts.checkpoint import read_checkpoint

    data = run_images(model.description, root=root)
    # A bundle, an ONNX file, and a file that was deleted since have no digests of images.
    if model.path is not None and model.path.is_file() and model.path.suffix != ".onnx":
        warn_of_changes(data, read_checkpoint(model.path))
    return data


def warn_of_changes(data: ImageDataModule, checkpoint: Mapping[str, Any]) -> str:
    """Warn if images differ from those of the model's training.

    Args:
        data: The images of its run, as they are now.
        checkpoint: What the model's file holds; a file without digests of its images gives no information.

    Returns:
        The warning; nothing where there is none.

    Warns:
        ImageWarning: They differ.
    """
    training = checkpoint.get("triptych_run")
    note = data.changed_since(training.get("images")) if isinstance(training, Mapping) else ""
    if note:
        warnings.warn(note, ImageWarning, stacklevel=3)
    return note
