"""Lists a table of labelled images, CSV or Parquet, with one row per image."""

import re
from ast import literal_eval
from collections.abc import Callable, Collection
from functools import cache
from os.path import realpath
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from triptych.data.invalid import regular_file
from triptych.data.listing import SPLIT_NAMES, TRAIN, Files, Listing, listed, split_of
from triptych.data.own.classes import (
    check_groups,
    class_name,
    number_classes,
    number_values,
    one_spelling,
    plain_text,
)
from triptych.data.own.columns import CsvTable, Table
from triptych.data.own.names import composed
from triptych.data.own.parquet import ParquetImages, ParquetTable
from triptych.errors import DataError

if TYPE_CHECKING:
    import pyarrow


def list_table(
    file: str | Path,
    *,
    path: str = "path",
    image: str = "image",
    label: str = "label",
    split: str = "split",
    group: str = "group",
) -> Listing:
    """List the images of a CSV or Parquet file.

    A CSV file is text with the names of the columns in its first line, separated by commas, semicolons, tabs or bars.
    Paths can have slashes or backslashes, surrounding spaces, and composed or decomposed accents. Labels are words or
    numbers; 1, "1" and 1.0 are the same. If a Parquet file has class names for its numbers, as written by Hugging
    Face's libraries, these are used.

    Args:
        file: The file.
        path: The column of the images' files, relative to the folder of the table, or absolute.
        image: The column of encoded images, in Parquet: bytes, or {bytes, path}. It can also contain paths, and takes
            precedence over `path`.
        label: The column of labels.
        split: The optional column of train, val (or valid, or validation) and test, in any case. It can be empty in
            training rows if no row has train.
        group: The optional column of groups that must not be spread over several splits, such as an object or a
            patient. Rows without a group are independent.

    Returns:
        The images in the order of their rows. A file that occurs twice is listed once.

    Raises:
        DataError: The file cannot be read; a column or a value is missing or invalid; image files are missing, or occur
            twice with different labels or splits; a group is spread over splits; there is only one class, or a class
            without training images.
    """
    file = Path(file).expanduser()
    table = open_table(file, expected=(path, image, label, split, group))
    path, image, label, split, group = (_column(table, name) for name in (path, image, label, split, group))
    pictures = image if image in table.names else path
    _need_column(table, pictures, f"a column {path} of files, or {image} of encoded images")
    _need_column(table, label, f"a column {label} of labels")
    class_names = table.class_names.get(label, [])
    labels, codes = _numbered(table, label, class_name(class_names) if class_names else plain_text)
    if (codes < 0).any():
        raise _missing(table, codes < 0, f"a label in column {label} of every row")
    parts = _parts(table, split, len(codes))
    groups = _groups(table, group)
    paths = _paths(table, pictures)
    notes = list(table.notes)
    if paths:
        paths = [*map(_Paths(file.parent).found, paths)]
        kept = _once(table, paths, codes, parts, folder=file.parent)
        if len(kept) < len(paths):
            again = [table.row(place) for place in sorted(set(range(len(paths))) - set(kept))]
            notes.append(f"Left out {len(again):,} rows that name a file again: {listed(again)}.")
        paths, codes, parts = [paths[place] for place in kept], codes[kept], parts[kept]
        groups = groups and [groups[place] for place in kept]
        _check_files(table, paths, kept)
    check_groups(groups, parts, origin=str(file))
    codes, alike = one_spelling(labels, codes, parts)
    notes += alike
    numbers, classes = number_classes(labels, codes, parts, origin=str(file), order=class_names)
    return Listing(
        sources=Files(file.parent, paths) if paths else ParquetImages(file, pictures),
        names=paths or [table.row(place) for place in range(len(codes))],
        labels=numbers,
        classes=classes,
        split=torch.from_numpy(parts),
        groups=groups,
        origin=f"read from {file}",
        notes=tuple(notes),
    )


def open_table(file: Path, *, expected: Collection[str]) -> Table:
    """Open a CSV or Parquet file; the format is detected from its content.

    Args:
        file: The file.
        expected: Names of columns, to detect the delimiter of a CSV file.

    Raises:
        DataError: The file is missing, damaged, empty, or has another format.
    """
    regular_file(file, "a CSV or Parquet file")
    try:
        with file.open("rb") as stream:
            is_parquet = stream.read(4) == b"PAR1"
    except OSError as error:
        raise DataError(f"{file}: expected a CSV or Parquet file, but it cannot be read ({error.strerror}).") from error
    return ParquetTable(file) if is_parquet else CsvTable.read(file, expected=expected)


def _column(table: Table, name: str) -> str:
    """Find the column of a name, ignoring surrounding spaces and the composition of accents."""
    if name in table.names:
        return name
    return next((one for one in table.names if composed(one).strip() == composed(name).strip()), name)


def _need_column(table: Table, name: str, expected: str) -> None:
    if table.names.count(name) != 1:
        columns = listed((repr(one) for one in table.names), shown=20) or "none"
        raise table.invalid(expected, f"the columns {columns}", "Fix the table, or name the columns (dataset.columns).")


def _missing(table: Table, places: np.ndarray, expected: str) -> DataError:
    return table.invalid(expected, f"none in {listed([table.row(place) for place in np.flatnonzero(places).tolist()])}")


def _numbered(table: Table, name: str, text: Callable[[object], str]) -> tuple[list[str], np.ndarray]:
    """Number the values of a column, as `number_values` does."""
    kind = str(_value_type(table, name))
    values: list[Any] = table.column(name).to_pylist()
    lists = _written_lists(values)
    if lists or re.match(r"(large_|fixed_size_)?list", kind):
        values = list[Any](lists or values)
        several = [place for place, value in enumerate(values) if value is not None and len(value) != 1]
        if several:
            first = values[several[0]]
            assert first is not None
            received = f"{len(first)} in {table.row(several[0])}"
            raise table.invalid(
                f"one value in each row of column {name}", received, "Triptych learns one class an image."
            )
        values = [None if value is None else value[0] for value in values]
    elif re.match(r"(large_|fixed_size_)?binary|struct|map", kind):
        raise table.invalid(f"words or numbers in column {name}", kind)
    texts, codes = number_values(values, text)
    if not len(codes):
        raise table.invalid("at least one row", "none")
    return texts, codes


def _written_lists(values: list[Any]) -> list[Any] | None:
    """Parse lists in the format of pandas in a CSV file, such as "['cat']"; None if there are other values."""
    if not all(
        value is None or (isinstance(value, str) and re.fullmatch(r"\s*\[.{0,1000}\]\s*", value)) for value in values
    ):
        return None
    try:
        lists = [None if value is None else literal_eval(value.strip()) for value in values]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None
    return lists if any(lists) else None


def _parts(table: Table, name: str, rows: int) -> np.ndarray:
    """Read the splits: positions in SPLITS, (N,) int8."""
    if name not in table.names:
        return np.full(rows, TRAIN, np.int8)
    texts, codes = _numbered(table, name, lambda value: plain_text(value).lower())
    for code, text in enumerate(texts):
        if split_of(text) is None:
            where = table.row(int(np.argmax(codes == code)))
            raise table.invalid(f"{', '.join(SPLIT_NAMES)} in column {name}", f"{text!r} in {where}")
    parts: np.ndarray = np.array([*(split_of(text) or TRAIN for text in texts), TRAIN], np.int8)[codes]
    silent = codes < 0
    if silent.any() and (parts[~silent] == TRAIN).any():
        raise _missing(table, silent, f"a split in column {name} of every row, since there are rows with train")
    return parts


def _groups(table: Table, name: str) -> list[str | None] | None:
    if name not in table.names:
        return None
    texts, codes = _numbered(table, name, plain_text)
    return [texts[code] if code >= 0 else None for code in codes]


def _paths(table: Table, name: str) -> list[str] | None:
    """Read the column of images if it contains paths."""
    import pyarrow

    kind = _value_type(table, name)
    if (pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0) or str(kind) in (
        "binary",
        "large_binary",
    ):
        return None
    if str(kind) not in ("string", "large_string", "string_view"):
        raise table.invalid(f"paths, bytes or {{bytes, path}} in column {name}", str(kind))
    paths: list[str] = [(path or "").strip() and path for path in table.column(name).to_pylist()]
    if "" in paths:
        raise _missing(table, np.array([not path for path in paths]), f"a path in column {name} of every row")
    return paths


def _value_type(table: Table, name: str) -> "pyarrow.DataType":
    """Return the type of a column's values; pandas stores categories as numbers with a dictionary."""
    import pyarrow

    kind = table.kind(name)
    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


class _Paths:
    """Finds the files of paths that are written in different ways."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._composed: dict[Path, dict[str, str]] = {}

    def found(self, written: str) -> str:
        """Return the normalised path of an existing file, or else the path as written."""
        for path in (written, written.strip(), written.strip().replace("\\", "/")):
            if (self._folder / path).is_file():
                return normpath(path)
        path = normpath(written.strip().replace("\\", "/"))
        parts, folder = Path(path).parts, self._folder
        real = Path()
        for part in parts:  # accents: systems use different code points for the same name
            name = part if (folder / part).exists() else self._names(folder).get(composed(part), part)
            folder, real = folder / name, real / name
        return real.as_posix() if folder.is_file() else written

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._composed:
            try:
                self._composed[folder] = {composed(entry.name): entry.name for entry in folder.iterdir()}
            except OSError:
                self._composed[folder] = {}
        return self._composed[folder]


def _once(table: Table, paths: list[str], codes: np.ndarray, parts: np.ndarray, *, folder: Path) -> list[int]:
    """Find the first row of each file, with links resolved, and check that other rows agree with it."""
    first: dict[str, int] = {}
    resolved = cache(realpath)
    of = np.empty(len(paths), np.int64)
    for place, path in enumerate(paths):
        file = folder / path
        real = realpath(file) if file.is_symlink() else f"{resolved(file.parent)}/{file.name}"
        of[place] = first.setdefault(real, place)
    differs = np.flatnonzero((codes != codes[of]) | (parts != parts[of])).tolist()
    if differs:
        place = differs[0]
        raise table.invalid(
            "one label and one split for a file",
            f"several of {paths[place]} in {table.row(of[place])} and {table.row(place)}"
            + (f", and {len(differs) - 1:,} like it" if len(differs) > 1 else ""),
        )
    return list(first.values())


def _check_files(table: Table, paths: list[str], rows: list[int]) -> None:
    """Check that the image files exist."""
    folder = table.file.parent
    missing = [
        f"{path} ({table.row(row)})" for path, row in zip(paths, rows, strict=True) if not (folder / path).is_file()
    ]
    if missing:
        raise table.invalid(
            f"a file at each of {len(paths):,} paths",
            f"none at {len(missing):,}: {listed(missing)}",
            f"Paths are written with slashes (/) and begin in {folder}.",
        )
