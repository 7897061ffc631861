"""The images of a trained model's run, split as training split them."""

from pathlib import Path

from triptych.artefacts.description import ModelDescription
from triptych.data.builder import moved, open_images
from triptych.data.listing import listed
from triptych.data.module import ImageDataModule
from triptych.errors import DataError


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
