"""Corrections of labels: a CSV that relabels or drops images, without changing the data set's files."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.data.listing import SPLITS, TRAIN, Files, Listing, listed, split_of
from triptych.data.own.classes import plain_text
from triptych.data.own.columns import CsvTable, Table
from triptych.data.own.names import composed
from triptych.text import csv_text

DROPPED = -1
"""The label of a dropped image."""


class Corrected(NamedTuple):
    """Labels after corrections."""

    labels: Tensor
    """(N,) int64; `DROPPED` for dropped images."""
    note: str
    """Summary of the changes, in a sentence."""


def corrected_labels(listing: Listing, file: str | Path) -> Corrected:
    """Read the corrections of a listing.

    Args:
        listing: The images.
        file: A CSV file with the column `label`, a class or empty to drop the image, and with the column `path`, an
            image's name in the listing or its absolute path, or the columns `split` and `index` (or `position`): its
            position, from 0, among the training, validation or test images of their source.

    Raises:
        DataError: The file cannot be read, or contains an unknown image, an unknown class, or an image twice.
    """
    table = CsvTable.read(Path(file).expanduser(), expected=("path", "split", "index", "position", "label"))
    if "label" not in table.names:
        raise table.invalid("a column label", f"the columns {listed(table.names, shown=20) or 'none'}")
    wanted = [plain_text(csv_text(label)) for label in table.texts("label")]
    places = _by_path(table, listing) if "path" in table.names else _by_index(table, listing)
    seen: dict[int, int] = {}
    for row, place in enumerate(places):
        if (first := seen.setdefault(place, row)) != row:
            raise table.invalid("each image once", f"{listing.name(place)} in {table.row(first)} and {table.row(row)}")
    numbers = {name: number for number, name in enumerate(listing.classes)} | {"": DROPPED}
    unknown = [row for row, name in enumerate(wanted) if name not in numbers]
    if unknown:
        name = wanted[unknown[0]]
        near = get_close_matches(name, listing.classes, n=1)
        raise table.invalid(
            f"a class of the data set, or nothing to drop the image, in column label ({listed(listing.classes)})",
            f"{name!r} in {table.row(unknown[0])}",
            f"Did you mean {near[0]!r}?" if near else "Correct the label.",
        )
    labels = listing.labels.clone()
    labels[places] = torch.tensor([numbers[name] for name in wanted], dtype=torch.int64)
    dropped = wanted.count("")
    changed = int((labels != listing.labels).sum()) - dropped
    return Corrected(labels, f"{changed:,} labels are corrected and {dropped:,} images are left out by {file}.")


def _by_path(table: CsvTable, listing: Listing) -> list[int]:
    if listing.names is None:
        raise table.invalid("the columns split, index and label, as these images have no paths", "a column path")
    exact = {name: place for place, name in enumerate(listing.names)}
    plain = {plain_path(name): place for name, place in exact.items()}
    paths = [csv_text(path) for path in table.texts("path")]
    root = f"{Path(listing.sources.root).absolute().as_posix()}/" if isinstance(listing.sources, Files) else None
    below = [plain_path(path).removeprefix(root) if root else plain_path(path) for path in paths]
    places = [exact.get(path, plain.get(name)) for path, name in zip(paths, below, strict=True)]
    return _found(table, places, paths, "an image of the data set in column path")


def _by_index(table: CsvTable, listing: Listing) -> list[int]:
    column = next((name for name in ("index", "position") if name in table.names), None)
    if column is None or "split" not in table.names:
        columns = listed(table.names, shown=20)
        raise table.invalid("a column path, or the columns split and index", f"the columns {columns}")
    texts = [f"{split} {index}" for split, index in zip(table.texts("split"), table.texts(column), strict=True)]
    of_part = [(listing.split == part).nonzero()[:, 0].tolist() for part in range(len(SPLITS))]
    places: list[int | None] = []
    for text in texts:
        split, _, index = text.rpartition(" ")
        part = split_of(split)
        # Missing splits of the source were taken from its training images.
        inside = [] if part is None else of_part[part] or of_part[TRAIN]
        number = int(index) if index.strip().isdecimal() and len(index) < 16 else -1
        places.append(inside[number] if 0 <= number < len(inside) else None)
    return _found(table, places, texts, f"a split and the place of an image in the columns split and {column}")


def _found(table: Table, places: Sequence[int | None], texts: Sequence[str], expected: str) -> list[int]:
    missing = [f"{text!r} ({table.row(row)})" for row, text in enumerate(texts) if places[row] is None]
    if missing:
        raise table.invalid(f"{expected} of every row", f"{len(missing):,} that do not exist: {listed(missing)}")
    return [place for place in places if place is not None]


def plain_path(path: str) -> str:
    r"""Normalise the path of an image.

    Example:
        >>> plain_path(" .\\cat\\1.png")
        'cat/1.png'
    """
    return composed(path.strip().replace("\\", "/").removeprefix("./"))
