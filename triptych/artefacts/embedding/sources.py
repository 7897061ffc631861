"""The images of a job as a list: their ids, where they are, and their labels; nothing is decoded for it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.config.datasets import KNOWN_DATASETS
from triptych.data.own.names import natural_key
from triptych.data.pixels.opening import EXTENSIONS
from triptych.errors import DataError
from triptych.text import unicode_text

TABLES = (".csv", ".tsv", ".parquet")
SPLIT = re.compile(rf"({'|'.join(KNOWN_DATASETS)}):(train|test)")
"""A split of a known data set, as its makers divide it."""


@dataclass(frozen=True)
class ImageList:
    """Images, in an order that depends on their names alone.

    Attributes:
        places: Where they are, (N,), each once; each is the id of its image, too. An absolute path; a URL;
            "mnist:test#17", an image of a known data set; or "/photos.parquet#row=17", the image in a row of a table.
        labels: The class, (N,), where the images have one: the name of the folder in which an image lies below the
            given one, the column `label` of a table, the class of a known data set; or None.
    """

    places: Sequence[str]
    labels: Sequence[str | None]


def source_name(images: str | Path) -> str:
    """Return images as a job remembers them: a URL, a split, or an absolute path."""
    text = str(images)
    return text if "://" in text or is_split(text) else str(Path(images).expanduser().absolute())


def is_split(images: str) -> bool:
    """Whether a split of a known data set is meant, and no file of that name."""
    return SPLIT.fullmatch(images) is not None and not Path(images).exists()


def list_sources(images: str | Path) -> ImageList:
    """List the images in a folder, below a URL that fsspec knows, in a table, or in a split of a known data set.

    Raises:
        DataError: There are none, a table is damaged, or a library is missing.
    """
    text = str(images)
    if "://" in text:
        return _list_url(text)
    if is_split(text):
        return _list_split(text)
    from triptych.data.own.unlabelled import image_files

    place = Path(images).expanduser().absolute()
    if not place.exists():
        raise DataError(
            f"{place}: expected a folder, an image, a table, a URL, or a split such as mnist:test, but there is "
            "nothing. Check the path."
        )
    if place.is_file():
        if place.suffix.lower() in TABLES:
            from triptych.artefacts.embedding.tables import list_rows

            return once(list_rows(place))
        return ImageList([str(place)], [None])
    files = image_files(place)
    labels = [None if file.parent == place else unicode_text(file.parent.name) for file in files]
    return ImageList([unicode_text(file) for file in files], labels)


def once(rows: Iterator[tuple[str, str | None]]) -> ImageList:
    """Keep each place once, with its first label: ids are unique."""
    found: dict[str, str | None] = {}
    for place, label in rows:
        found.setdefault(place, label)
    return ImageList(list(found), list(found.values()))


def _list_split(name: str) -> ImageList:
    split = open_split(name)
    classes = [split.classes[label] for label in split.labels]
    return ImageList([f"{name}#{number}" for number in range(len(classes))], classes)


@dataclass(frozen=True, eq=False)
class KnownSplit:
    """A split of a known data set.

    Attributes:
        images: Pixels uint8 (C, H, W), or files, or encoded bytes, by position in the data set.
        first: The position of the split's first image.
        labels: Numbers of classes, (N,).
        classes: Names of the classes.
    """

    images: Any
    first: int
    labels: Sequence[int]
    classes: tuple[str, ...]


def open_split(name: str) -> KnownSplit:
    """Open a split such as mnist:test.

    Raises:
        DataError, DownloadError: It cannot be read, or PyTorch is missing.
    """
    found = SPLIT.fullmatch(name)
    assert found is not None, "it is the name of a split"
    try:
        from triptych.data.known.finding import list_known
        from triptych.data.listing import split_of
    except ImportError as error:
        raise DataError(f"{name}: known data sets need PyTorch: pip install 'triptych[train]'.") from error
    listing = list_known(KNOWN_DATASETS[found[1]])
    wanted = split_of(found[2])
    positions = [place for place, part in enumerate(listing.split.tolist()) if part == wanted]
    labels = listing.labels[positions].tolist()
    return KnownSplit(listing.sources, positions[0], labels, listing.classes)


def _list_url(url: str) -> ImageList:
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(url)
        found = system.find(root) if not system.isfile(root) else [root]
    except ImportError as error:
        raise DataError(f"{url}: a library is missing: {error}. Install it with pip.") from error
    except Exception as error:  # each file system has errors of its own
        raise DataError(f"{url}: expected a folder of images, but it cannot be listed: {error}.") from error
    root = root.rstrip("/")
    kept = [
        path
        for path in found
        if Path(path).suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.removeprefix(root).split("/"))
    ]
    if not kept:
        raise DataError(f"{url}: expected images ({', '.join(sorted(EXTENSIONS))}), but there are none.")
    kept.sort(key=natural_key)
    parents = [path.rpartition("/")[0] for path in kept]
    labels = [
        None if root in (parent, path) else parent.rpartition("/")[2]
        for path, parent in zip(kept, parents, strict=True)
    ]
    return ImageList([str(system.unstrip_protocol(path)) for path in kept], labels)
