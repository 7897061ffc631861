"""Writes a table that keeps duplicates in one split: for `triptych doctor --write-groups`."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from triptych.data.listing import SPLITS, TRAIN, Files, Listing
from triptych.data.own.table import list_table
from triptych.errors import DataError
from triptych.files import replacing
from triptych.inspection.examine import Examination


class WrittenGroups(NamedTuple):
    """What `write_groups` has written.

    Attributes:
        file: The table.
        groups: Groups of duplicates in it.
        images: Images of these groups.
        moved: Images whose split was changed to train, because another image of their group is in another split.
    """

    file: Path
    groups: int
    images: int
    moved: int


def write_groups(found: Examination, file: str | Path) -> WrittenGroups:
    """Write the images as a table with a column `group`, which keeps duplicates in one split.

    Groups that the images already have are kept, and joined where duplicates connect them. If the images come with
    splits of their own, a group that lies in several moves to training. Train with `dataset.name: table` and
    `dataset.root: FILE`.

    Raises:
        DataError: The images have no files of their own, or the file exists.
    """
    file = Path(file)
    listing = found.listing
    if not isinstance(listing.sources, Files) or listing.names is None:
        raise DataError("Expected image files, which a table can list; got a data set that embeds its images.")
    if file.exists():
        raise DataError(f"{file}: expected the name of a new file, but it exists. Choose another name, or remove it.")
    component = _components(listing, found)
    sizes = np.bincount(component)
    split = listing.split.numpy().copy()
    by_component = np.split(split[component.argsort(kind="stable")], sizes.cumsum()[:-1])
    crosses = np.array([len(set(parts)) > 1 for parts in by_component])
    moved = crosses[component] & (split != TRAIN)
    split[moved] = TRAIN
    first = {number: listing.name(place) for place, number in reversed(list(enumerate(component.tolist())))}
    groups = [first[number] if sizes[number] > 1 else "" for number in component.tolist()]
    _write(file, listing, split, groups)
    is_found = np.isin(component, np.unique(component[_rows(listing, found).flatten()]))
    return WrittenGroups(file, len(np.unique(component[is_found])), int(is_found.sum()), int(moved.sum()))


def _rows(listing: Listing, found: Examination) -> np.ndarray:
    """Return the pairs of duplicates as rows of the listing, (M, 2)."""
    place = {name: row for row, name in enumerate(listing.names or ())}
    row_of = np.array([place[name] for name in found.duplicates.names])
    pairs: tuple[Tensor, Tensor] = found.duplicates.pairs.first, found.duplicates.pairs.second
    return np.stack([row_of[pair.numpy()] for pair in pairs], axis=1)


def _components(listing: Listing, found: Examination) -> np.ndarray:
    """Number the sets of images that duplicates and existing groups connect, (N,)."""
    pairs = [(first, second) for first, second in _rows(listing, found).tolist()]
    if listing.groups is not None:
        named: dict[str, int] = {}
        pairs += [(named.setdefault(group, row), row) for row, group in enumerate(listing.groups) if group is not None]
    parents = list(range(len(listing)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    for first, second in pairs:
        parents[root(first)] = root(second)
    return np.unique([root(row) for row in range(len(listing))], return_inverse=True)[1]


def _write(file: Path, listing: Listing, split: np.ndarray, groups: list[str]) -> None:
    assert isinstance(listing.sources, Files)
    has_splits = bool((listing.split != TRAIN).any())
    with replacing(file) as temporary:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            table = csv.writer(stream)
            table.writerow(["path", "label", "group", *(["split"] if has_splits else [])])
            for place, (label, group) in enumerate(zip(listing.labels.tolist(), groups, strict=True)):
                path = listing.sources.at(place).absolute()
                is_below = path.is_relative_to(file.parent.absolute())
                shown = path.relative_to(file.parent.absolute()) if is_below else path
                row = [shown.as_posix(), listing.classes[label], group]
                table.writerow([*row, SPLITS[split[place]]] if has_splits else row)
        read = list_table(temporary)
        if len(read) != len(listing) or read.classes != listing.classes:
            raise DataError(
                f"{file}: some file or class names cannot be written to a table, such as names that end with a space; "
                "rename them."
            )
