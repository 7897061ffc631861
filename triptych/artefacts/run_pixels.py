"""Preprocessed images of a model's run: for calibration of quantised encoders, metrics and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.artefacts.description import ModelDescription
from triptych.errors import DataError

if TYPE_CHECKING:
    from triptych.data.images import Split

CALIBRATION_IMAGES = 256
MEASURED_IMAGES = 10_000
"""Maximum number of sampled test images."""


class LabelledPixels(NamedTuple):
    """Preprocessed images with their labels."""

    pixels: NDArray[np.float32]
    """(N, C, H, W), in [0, 1], including padding."""
    labels: NDArray[np.int64]
    """(N,), labels of the model."""


class RunPixels(NamedTuple):
    """A sample of the images of a run, with a fixed seed."""

    calibration: LabelledPixels
    """Training images."""
    test: LabelledPixels


def run_pixels(description: ModelDescription, *, root: str | Path | None = None) -> RunPixels:
    """Draw images of the model's classes from its run, without held-out classes.

    Args:
        description: Description of the model.
        root: Current location of the run's images; None: that of training.

    Raises:
        DataError, DownloadError: They cannot be read, or have other classes.
        TypeError: The root is not a path.
    """
    from triptych.data.builder import moved, open_images

    config = description.config
    if root is not None:
        config = moved(config, root)
    images = open_images(config).images
    if not set(description.classes) <= set(images.classes):
        raise DataError(
            f"{images.title}: expected images of the model's classes, got {len(images.classes)} other classes. Name "
            "the folder of the run's own images (--root)."
        )
    return RunPixels(
        _drawn(images.train, images.classes, description, most=CALIBRATION_IMAGES),
        _drawn(images.test, images.classes, description, most=MEASURED_IMAGES),
    )


def can_be_read(description: ModelDescription, *, root: str | Path | None = None) -> bool:
    """Return whether the images of a run are on this machine, so that nothing needs to be downloaded."""
    from triptych.config.datasets import KNOWN_DATASETS
    from triptych.data.known.finding import is_here

    dataset = description.config.dataset
    place = root if root is not None else dataset.root
    if known := KNOWN_DATASETS.get(dataset.name):
        return is_here(known, root=place)
    return place is not None and Path(place).expanduser().exists()


def _drawn(split: "Split", names: tuple[str, ...], description: ModelDescription, *, most: int) -> LabelledPixels:
    number = {name: label for label, name in enumerate(description.classes)}
    labels = np.array([number.get(name, -1) for name in names])[split.labels.cpu().numpy()]
    drawn = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(labels >= 0))[:most])
    pixels = split.images[drawn.tolist()].numpy().astype(np.float32) / np.float32(255)
    pad = description.preprocessing.pad
    return LabelledPixels(np.pad(pixels, ((0, 0), (0, 0), (pad, pad), (pad, pad))), labels[drawn])
