"""The images of a job: a list of their ids, which are also their locations, their labels, and their reader."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any

from triptych.config.datasets import KNOWN_DATASETS
from triptych.data.own.columns import CsvTable, Table
from triptych.data.own.names import natural_key
from triptych.data.own.parquet import ParquetImages, ParquetTable
from triptych.data.pixels.opening import EXTENSIONS, NOT_UTF8, UndecodableImage
from triptych.errors import DataError
from triptych.text import unicode_text

TABLES = (".csv", ".tsv", ".parquet")
SPLIT = re.compile(rf"({'|'.join(KNOWN_DATASETS)}):(train|test)")
"""An official split of a known data set."""
ROW = "#row="
"""Separator between the path of a table and the number of a row."""
REPLACED = "\N{REPLACEMENT CHARACTER}"
"""Replacement in the list for bytes of a file name that are not valid UTF-8."""


@dataclass(frozen=True)
class ImageList:
    """Images, in an order that depends only on their names.

    Attributes:
        places: Locations, (N,), unique, which are also the ids of the images: an absolute path; a URL; "mnist:test#17",
            an image of a known data set; or "/photos.parquet#row=17", the image in a row of a table.
        labels: The classes, (N,), or None: the name of an image's sub-folder, the column `label` of a table, or the
            class of a known data set.
    """

    places: Sequence[str]
    labels: Sequence[str | None]


def source_name(images: str | Path) -> str:
    """Return the source of a job in normalised form: a URL, a split, or an absolute path."""
    text = str(images)
    return text if "://" in text or is_split(text) else unicode_text(_absolute(images))


def _absolute(place: str | Path) -> Path:
    """Return the absolute path without `..`, so that a file's id does not depend on the working directory.

    If a link precedes `..`, the path is unchanged: without them it would point elsewhere.
    """
    given = Path(place).expanduser().absolute()
    short = Path(os.path.abspath(given))  # noqa: PTH100 - links are not followed
    return short if given.exists() and short.exists() and short.samefile(given) else given


def is_split(images: str) -> bool:
    """Return whether the text is a split of a known data set, and not a file of that name."""
    return SPLIT.fullmatch(images) is not None and not Path(images).exists()


def list_sources(images: str | Path) -> ImageList:
    """List the images in a folder, below a URL that fsspec knows, in a table, or in a split of a known data set.

    Raises:
        DataError: There are no images, a table is damaged, or a library is not installed.
    """
    text = str(images)
    if "://" in text:
        return _list_url(text)
    if is_split(text):
        return _list_split(text)
    from triptych.data.own.unlabelled import image_files

    place = _absolute(images)
    if not place.exists():
        raise DataError(
            f"{place}: expected a folder, an image, a table, a URL, or a split such as mnist:test, but there is "
            "nothing. Check the path."
        )
    if place.is_file():
        if place.suffix.lower() in TABLES:
            return once(_list_rows(place))
        return ImageList([unicode_text(place)], [None])
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
        DataError, DownloadError: It cannot be read, or PyTorch is not installed.
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


class SourceReader:
    """Reads images of a job by their locations; tables and data sets are opened once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._splits: dict[str, KnownSplit] = {}
        self._tables: dict[str, ParquetImages] = {}

    def read(self, place: str) -> Any:  # noqa: ANN401 - an image of any kind that `Preprocessing.known` takes
        """Return a file to be opened, the bytes of an image, or its pixels as a tensor (C, H, W).

        Raises:
            OSError: A URL cannot be read.
            UndecodableImage: The name of a file is not valid UTF-8, so that no table can contain it.
            DataError: A table or data set cannot be opened.
        """
        name, _, number = place.rpartition("#")
        if number.isdecimal() and SPLIT.fullmatch(name):
            with self._lock:
                split = self._splits[name] = self._splits.get(name) or open_split(name)
            return split.images[split.first + int(number)]
        file, found, row = place.rpartition(ROW)
        if found and row.isdecimal() and "://" not in place:
            with self._lock:
                table = self._tables[file] = self._tables.get(file) or _embedded_images(Path(file))
            return table.at(int(row))
        if "://" not in place:
            if REPLACED in place and not Path(place).exists():
                raise UndecodableImage(NOT_UTF8)
            return Path(place)
        import fsspec

        with fsspec.open(place, "rb") as stream:
            content: bytes = stream.read()
        return content


def _list_url(url: str) -> ImageList:
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(url)
        found = system.find(root) if not system.isfile(root) else [root]
    except ImportError as error:
        raise DataError(f"{url}: a library is missing: {error}. Install it with pip.") from error
    except Exception as error:  # each file system has its own error classes
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


def _list_rows(file: Path) -> Iterator[tuple[str, str | None]]:
    """Yield place and label of each row.

    A row refers to a file in the column `path` (or `image`), relative to the folder of the table, or to a URL; or it
    contains the image itself in the column `image`, as bytes or as {bytes, path}. The column `label` is optional.
    Training has more requirements for tables (`data/own/table.py`); a job needs an image in each row, and no PyTorch.

    Raises:
        DataError: The table is damaged, has no such column, or has a row without an image.
    """
    import pyarrow as pa

    is_parquet = file.suffix.lower() == ".parquet"
    table: Table = ParquetTable(file) if is_parquet else CsvTable.read(file, expected=("path", "image", "label"))
    name = _image_column(table)
    kind = table.kind(name)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    images: Iterable[Any] = table.column(name).to_pylist() if is_text else repeat(True, len(ParquetImages(file, name)))
    labels = table.column("label").to_pylist() if "label" in table.names else repeat(None)
    for number, (image, label) in enumerate(zip(images, labels, strict=False)):
        text = None if label in (None, "") else str(label)
        if image is True:
            yield unicode_text(f"{file}{ROW}{number}"), text
        elif isinstance(image, str) and image.strip():
            name = image.strip().replace("\\", "/")
            yield image if "://" in image else unicode_text(file.parent / name), text
        else:
            raise DataError(f"{file}: expected an image in every row, but row {number} has none. Fix the table.")


def _embedded_images(file: Path) -> ParquetImages:
    """Open the images that are embedded in a Parquet file."""
    return ParquetImages(file, _image_column(ParquetTable(file)))


def _image_column(table: Table) -> str:
    found = next((name for name in ("image", "path") if name in table.names), None)
    if found is None:
        raise DataError(
            f"{table.file}: expected a column path of files, or image of encoded images; got "
            f"{', '.join(table.names)[:200]}. Rename the column."
        )
    return found
