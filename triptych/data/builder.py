"""Builds images from the config, the same way for known data sets and your own: list, decode once, split."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from triptych.config.datasets import KNOWN_DATASETS, OWN_IMAGES
from triptych.config.schema import DatasetConfig, RunConfig
from triptych.data.images import ImageData
from triptych.data.known.finding import list_known
from triptych.data.known.locate import decoded_folder
from triptych.data.listing import Listing
from triptych.data.own.folder import list_folder
from triptych.data.own.hugging_face import list_hugging_face
from triptych.data.own.table import list_table
from triptych.data.own.unlabelled import Images, image_batches
from triptych.data.pixels.cache import DecodedImages, Progress, decode_once
from triptych.data.pixels.entries import Form
from triptych.data.pixels.preprocessing import Preprocessing
from triptych.data.pixels.quiet import own_stderr, summarised_warnings
from triptych.data.pixels.traits import WHITE_LEVELS, traits_of, white_level
from triptych.data.splits.corrections import corrected_labels
from triptych.data.splits.dividing import divided
from triptych.errors import ConfigError

READ_AT_ONCE = 256
"""Number of images without labels that are decoded at a time."""


class OpenedImages(NamedTuple):
    """A config and the images that it describes."""

    config: RunConfig
    """The config, completed with settings derived from the images: their channels."""
    images: ImageData


class DecodedListing(NamedTuple):
    """Listed images and their pixels, not split yet."""

    config: RunConfig
    """The config, completed with settings derived from the images."""
    listing: Listing
    decoded: DecodedImages


def open_images(config: RunConfig) -> OpenedImages:
    """Read the images of a run; encoded images are decoded once and then cached.

    Raises:
        DataError, DownloadError: The images cannot be read or split.
    """
    found = decode_listing(config)
    return OpenedImages(found.config, divide(found, on_corrupt=config.dataset.on_corrupt))


def load_dataset(name: str, *, root: str | Path | None = None) -> ImageData:
    """Read a known data set with its original split into training and test images.

    Args:
        name: A key of `KNOWN_DATASETS`.
        root: A folder to search first.

    Raises:
        ValueError: There is no data set of that name.
        DataError, DownloadError: It cannot be read.

    Example:
        >>> data = load_dataset("digits")
        >>> tuple(data.train.images.shape), data.train.images.dtype, data.classes[:3]
        ((1437, 1, 8, 8), torch.uint8, ('0', '1', '2'))
    """
    if name not in KNOWN_DATASETS:
        raise ValueError(f"name must be one of {', '.join(KNOWN_DATASETS)}, but is {name!r}")
    config = RunConfig(dataset=DatasetConfig(name=name))
    found = decode_listing(config if root is None else moved(config, root))
    title = KNOWN_DATASETS[name].title
    return divided(found.listing, found.decoded, fractions=(0, 0), seed=0, on_corrupt="error", title=title)


def moved(config: RunConfig, root: str | Path) -> RunConfig:
    """Return the config of a run whose images have moved.

    Raises:
        TypeError: The root is not a path.
    """
    place = os.fspath(root) if isinstance(root, os.PathLike) else root
    if not isinstance(place, str):
        raise TypeError(f"expected a path (str or Path) as root; got {type(root).__name__}")
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"root": place})})


def decode_listing(config: RunConfig) -> DecodedListing:
    """List the images of a run and decode them, unless they are in the cache.

    Raises:
        DataError, DownloadError: They cannot be listed.
    """
    listing = list_images(config.dataset)
    if isinstance(listing.sources, Tensor):  # a known data set that stores pixels
        return DecodedListing(config, listing, DecodedImages(listing.sources, {}))
    with _progress() as progress, summarised_warnings():
        config, listing = completed(config, listing)
        decoded = decode_once(
            listing.encoded,
            form_of(config.dataset),
            origin=listing.origin,
            cache=decoded_folder(),
            threads=config.dataset.num_workers,
            progress=progress,
        )
    return DecodedListing(config, listing, decoded)


def form_of(dataset: DatasetConfig) -> Form:
    """Return the format to which the images of a run are converted; known data sets already have their size."""
    return Form(
        dataset.stored_shape,
        dataset.fit if dataset.name in OWN_IMAGES else "exact",
        white=dataset.white_level or WHITE_LEVELS[-1],
        background=dataset.background_colour,
    )


def divide(found: DecodedListing, *, on_corrupt: Literal["error", "skip"]) -> ImageData:
    """Split decoded images by the config.

    Raises:
        DataError: As in `divided`.
    """
    dataset = found.config.dataset
    known = KNOWN_DATASETS.get(dataset.name)
    return divided(
        found.listing,
        found.decoded,
        fractions=(dataset.validation_fraction, dataset.test_fraction),
        seed=dataset.split_seed,
        on_corrupt=on_corrupt,
        title=known.title if known else dataset.title,
        corrected=corrected_labels(found.listing, dataset.corrections) if dataset.corrections else None,
    )


def read_images(images: Images, dataset: DatasetConfig) -> Tensor:
    """Prepare images without labels as a run prepares its own: size, channels and padding.

    Args:
        images: Paths, a folder, encoded bytes, Pillow images, arrays or tensors (see `Images`).
        dataset: The data set config of the run, as in a checkpoint.

    Returns:
        Pixels in [0, 1], (N, C, H, W) float32: the input of a model.

    Raises:
        DataError, TypeError: As in `image_batches`.

    Example:
        >>> dataset = DatasetConfig(name="folder", root="photos", image_size=8, channels=1)
        >>> read_images("photos", dataset).shape
        torch.Size([24, 1, 8, 8])
    """
    form = Preprocessing(
        shape=dataset.stored_shape,
        fit=dataset.fit,
        pad=dataset.pad,
        white=dataset.white_level or WHITE_LEVELS[-1],
        background=dataset.background_colour,
    )
    batches = [torch.from_numpy(batch.pixels) for batch in image_batches(images, form, size=READ_AT_ONCE)]
    return torch.cat([torch.zeros(0, *form.input_shape), *batches])


def class_names(config: RunConfig) -> tuple[RunConfig, tuple[str, ...]]:
    """Return the config with its images' channels, and their classes; of your own images, only a few are decoded.

    Raises:
        DataError, DownloadError: The images cannot be listed.
    """
    if known := KNOWN_DATASETS.get(config.dataset.name):
        return config, known.classes
    listing = list_images(config.dataset)
    with summarised_warnings():
        config, listing = completed(config, listing)
    return config, listing.classes


def list_images(dataset: DatasetConfig) -> Listing:
    """List the images of a run without decoding.

    Raises:
        DataError, DownloadError: The images cannot be listed.
    """
    if known := KNOWN_DATASETS.get(dataset.name):
        return list_known(known, root=dataset.root)
    assert dataset.root is not None, "your own images have a place: the combinations are checked"
    named = dataset.columns.model_dump(exclude_none=True)
    if dataset.name == "folder":
        return list_folder(dataset.root)
    return list_table(dataset.root, **named) if dataset.name == "table" else list_hugging_face(dataset.root, **named)


def completed(config: RunConfig, listing: Listing) -> tuple[RunConfig, Listing]:
    """Return the config, completed with settings derived from the images, and the listing with notes about them.

    For your own images these are the channels of most images, the white level, and the absolute paths of the images and
    of corrections, so that a checkpoint also works from another folder.

    Raises:
        ConfigError: The augmentation changes colours, but the images are greyscale.
    """
    values = config.model_dump()
    dataset = values["dataset"]
    if dataset["corrections"]:
        dataset["corrections"] = str(Path(dataset["corrections"]).expanduser().absolute())
    notes: list[str] = []
    if config.dataset.name in OWN_IMAGES:
        notes = _decided_by_images(dataset, listing)
        if (place := Path(dataset["root"]).expanduser()).exists():
            dataset["root"] = str(place.absolute())
    try:
        return RunConfig.model_validate(values), replace(listing, notes=(*listing.notes, *notes))
    except ValidationError as error:
        wrong = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        raise ConfigError(f"{listing.origin}, most images have channels: {dataset['channels']}. {wrong}") from error


def _decided_by_images(dataset: dict[str, Any], listing: Listing) -> list[str]:
    """Fill in settings derived from the images, and return notes for the user."""
    threads, notes = dataset["num_workers"], []
    traits = traits_of(listing.encoded, threads=threads, channels=dataset["channels"])
    dataset["channels"] = traits.channels
    if dataset["white_level"] is None:
        dataset["white_level"] = WHITE_LEVELS[-1]
        if traits.deep:
            level, largest = white_level(listing.encoded, threads=threads)
            if largest:  # it is 0 for floating-point images, whose white is 1
                dataset["white_level"] = level
                notes.append(
                    f"Images of 16 bits have values up to {largest:,}: {level:,} is used as white "
                    "(dataset.white_level)."
                )
    if traits.deep_colours:
        notes.append(
            f"{traits.deep_colours:,} of {traits.looked_at:,} images looked at have colours of 16 bits, of which the "
            "upper 8 are used; scale darker ones before."
        )
    if traits.transparent:
        notes.append(
            f"{traits.transparent:,} of {traits.looked_at:,} images looked at have transparent pixels, which show "
            f"dataset.background ({dataset['background']})."
        )
    return notes


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress on stderr if it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description} images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with own_stderr() as stream:
        console = Console(file=stream)
        with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            tasks = {}

            def show(doing: str, done: int, count: int) -> None:
                if doing not in tasks:
                    tasks[doing] = bar.add_task(doing, total=count)
                bar.update(tasks[doing], completed=done)

            yield show
