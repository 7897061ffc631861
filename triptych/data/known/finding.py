"""Finds a known data set on this machine, or downloads it, and lists its images."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.config.datasets import KNOWN_DATASETS, KnownDataset, Reader
from triptych.data.known import cifar, idx, parquet
from triptych.data.known.digits import read_digits
from triptych.data.known.download import download
from triptych.data.known.locate import VARIABLE, Place, cache_folder, first_found, places
from triptych.data.known.reading import Parts, Reading
from triptych.data.listing import TEST, TRAIN, Joined, Listing
from triptych.errors import DataError, DownloadError


class Layout(NamedTuple):
    """A file layout of a data set."""

    find: Callable[[Path], Path | None]
    """Returns the folder or archive to read, given a folder, or None."""
    read: Callable[[Path, Reading], Parts]
    """Reads it."""


LAYOUTS: dict[Reader, tuple[Layout, ...]] = {
    "digits": (),
    "idx": (Layout(idx.find_idx, idx.read_idx),),
    "cifar": (
        Layout(cifar.find_python_folder, cifar.read_python),
        Layout(cifar.find_python_archive, cifar.read_python),
        Layout(cifar.find_binary_folder, cifar.read_binary),
        Layout(cifar.find_binary_archive, cifar.read_binary),
        Layout(parquet.find_parquet, parquet.read_parquet),
    ),
}
"""File layouts of each format, in order of preference. The digits are part of scikit-learn."""


def list_known(dataset: KnownDataset, *, root: str | Path | None = None) -> Listing:
    """Find a data set, or download it, and list its images.

    The search order is `root`, the folders of the environment variable TRIPTYCH_DATA, the system's own copy and the
    user's cache; otherwise the data set is downloaded to that cache.

    Args:
        dataset: A row of `KNOWN_DATASETS`, or another one.
        root: A folder to search first.

    Raises:
        DataError: A file was found but is invalid.
        DownloadError: There is no copy, and no mirror returned one.
    """
    parts, origin = _read(dataset, root)
    for kind, part in zip(("training", "test"), parts, strict=True):
        if not len(part):
            raise DataError(
                f"{dataset.title}, {origin}: expected {kind} images, but received none. Put a whole copy in its place."
            )
    return Listing(
        sources=_joined(parts),
        labels=torch.cat([part.labels for part in parts]),
        classes=dataset.classes,
        split=torch.tensor([TRAIN, TEST], dtype=torch.int8).repeat_interleave(
            torch.tensor([len(part) for part in parts])
        ),
        origin=origin,
    )


def is_here(dataset: KnownDataset, *, root: str | Path | None = None) -> bool:
    """Return whether a data set is on this machine, so that `list_known` downloads nothing."""
    if dataset.reader == "digits":
        return True
    searched = [*places(root, dataset.system), Place("cache", cache_folder())]
    return any(_find(dataset, place) is not None for place in searched)


def _joined(parts: Parts) -> Tensor | Joined:
    """Concatenate the images of the parts."""
    pixels = [part.images for part in parts if isinstance(part.images, Tensor)]
    encoded = [part.images for part in parts if not isinstance(part.images, Tensor)]
    return Joined(encoded) if encoded else torch.cat(pixels)


def _read(dataset: KnownDataset, root: str | Path | None) -> tuple[Parts, str]:
    """Read the files that are found or downloaded, and return them with their source."""
    if dataset.reader == "digits":
        return read_digits(), "part of the installation"
    reading = Reading(dataset.shape, dataset.classes)
    cache = Place("cache", cache_folder())
    searched = [*places(root, dataset.system), cache]
    for place in searched:
        if place is cache and any((cache.folder / dataset.folders[0] / name).exists() for name in dataset.files):
            break  # a download is incomplete: some of the files may be missing
        if found := _find(dataset, place):
            layout, path = found
            return layout.read(path, reading), f"read from {path} ({place.title})"
    folder = cache.folder / dataset.folders[0]
    try:
        for name, md5 in dataset.files.items():
            download(name, md5=md5, mirrors=dataset.mirrors, folder=folder)
    except DownloadError as error:
        raise DownloadError(_nowhere(dataset, searched, folder, error)) from error
    layout, path = _find(dataset, cache) or (LAYOUTS[dataset.reader][0], folder)
    return layout.read(path, reading), f"downloaded to {path}"


def _find(dataset: KnownDataset, place: Place) -> tuple[Layout, Path] | None:
    """Search a place for every layout, in order of preference."""
    below = [place.folder / folder for folder in dataset.folders]
    folders = [folder for folder in below if not _named_after_another(folder, dataset)]
    for layout in LAYOUTS[dataset.reader]:
        if found := first_found(folders, layout.find):
            return layout, found
    return None


def _named_after_another(folder: Path, dataset: KnownDataset) -> bool:
    """Distinguish MNIST's folder from Fashion-MNIST's: the names of the files in them are the same."""
    own = folder.parent if folder.name == "raw" else folder
    others = {_plain(other.title) for other in KNOWN_DATASETS.values() if other.files} - {_plain(dataset.title)}
    return _plain(own.resolve().name) in others


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _nowhere(dataset: KnownDataset, searched: list[Place], folder: Path, error: DownloadError) -> str:
    """Describe the searched places, why the download failed, and what to do."""
    listed = [str(place) for place in searched]
    if not any(place.title == VARIABLE for place in searched):
        listed.append(f"{VARIABLE}: not set")
    return "\n".join(
        [
            f"{dataset.title} was not found and could not be downloaded. Searched in:",
            *(f"  {line}" for line in listed),
            str(error),
            f"Put {', '.join(dataset.files)} into {folder}, or name a folder that holds a copy: as dataset.root in the "
            f"config, or in the environment variable {VARIABLE}. configs/digits.yaml needs no files and no network.",
        ]
    )
