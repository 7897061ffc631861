"""Corrections of labels, from the tables of an audit and from a user's own: a table that training reads.

It is a CSV file with the columns `path` and `label`, or, of images without files, `split`, `index` and `label`, which
`dataset.corrections` names; an empty label drops the image.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from triptych.data.listing import listed
from triptych.data.own.columns import CsvTable
from triptych.data.splits.corrections import plain_path
from triptych.errors import DataError
from triptych.files import replacing
from triptych.runs.find import run_of_folder
from triptych.runs.records import read_record
from triptych.text import csv_cell, csv_text

Image: TypeAlias = tuple[str, ...]
"""The path of an image, or its split and its index there."""

PATH, PLACE = ("path",), ("split", "index")
"""The columns that identify an image."""

REMEDY = "Fix the table, or run `triptych audit` again."


def suggested_corrections(folder: Path, *, top: int | None = None, drop_duplicates: bool = False) -> dict[Image, str]:
    """Return the corrections that an audit suggests.

    Args:
        folder: The folder with `label_issues.csv` and `near_duplicates.csv` of `triptych audit`.
        top: Number of listed labels to correct, the most doubtful first; None corrects those that are likely.
        drop_duplicates: Whether one image of every exact pair is dropped: the one outside the test set if the other is
            in it, else the second.

    Returns:
        The new label of each image, "" for one to drop.

    Raises:
        DataError: The tables are missing or damaged.
    """
    corrections: dict[Image, str] = {}
    columns = (*PLACE, "file", "suggested", "likely")
    for place, (_, row) in enumerate(_rows(folder / "label_issues.csv", columns)):
        if row["likely"] == "yes" if top is None else place < top:
            corrections[_image(row)] = row["suggested"]
    if drop_duplicates:
        others = tuple(f"other_{name}" for name in (*PLACE, "file"))
        for _, row in _rows(folder / "near_duplicates.csv", (*PLACE, "file", *others, "exact")):
            if row["exact"] == "yes":
                is_first = row["other_split"] == "test" != row["split"]
                corrections[_image(row, prefix="" if is_first else "other_")] = ""
    return corrections


def corrections_of_run(folder: Path) -> dict[Image, str]:
    """Return the corrections with which the run of a version folder was trained; none for any other folder.

    Raises:
        DataError: Their table is missing or damaged.
    """
    run = run_of_folder(folder) or run_of_folder(folder.parent)
    file = read_record(run).config.get("dataset.corrections") if run and run.config.is_file() else None
    return read_corrections(Path(file)) if isinstance(file, str) else {}


def read_corrections(path: Path) -> dict[Image, str]:
    """Read a table of corrections.

    Raises:
        DataError: It is missing or damaged, has no such column, or corrects an image in two ways.
    """
    corrections: dict[Image, str] = {}
    spelled: dict[Image, Image] = {}
    for line, row in _rows(path, (*PATH, "label"), (*PLACE, "label")):
        *image_cells, label = row.values()
        image = spelled.setdefault(_plain(image_cells), tuple(image_cells))
        if corrections.setdefault(image, label) != label:
            raise DataError(
                f"{path}, {line}: expected one label for {' '.join(image)}, got {label!r} after "
                f"{corrections[image]!r}. Remove one of the lines."
            )
    return corrections


def overlaid(found: Mapping[Image, str], own: Mapping[Image, str]) -> dict[Image, str]:
    """Override corrections by a user's own, also if they spell the path of an image differently.

    Example:
        >>> overlaid({("cat/1.png",): "dog"}, {("./cat/1.png",): "emu"})
        {('cat/1.png',): 'emu'}
    """
    spelled = {_plain(image): image for image in found}
    return {
        **found,
        **{image if image in found else spelled.get(_plain(image), image): label for image, label in own.items()},
    }


def write_corrections(path: Path, corrections: Mapping[Image, str]) -> None:
    """Write a table of corrections atomically, in the order of the images.

    Raises:
        DataError: Some images are identified by path, others by split and index.
    """
    if len({len(image) for image in corrections}) > 1:
        raise DataError("Expected corrections that name all images by path, or all by split and index; got both.")
    columns = PLACE if any(len(image) == len(PLACE) for image in corrections) else PATH
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*columns, "label"))
        writer.writerows((*map(csv_cell, image), csv_cell(label)) for image, label in sorted(corrections.items()))


def _plain(image: Iterable[str]) -> Image:
    return tuple(map(plain_path, image))


def _rows(path: Path, *choices: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file, with their lines, that has the columns of one of the choices, the first that fits.

    All columns of the choice are needed in every row, but an empty value is one.
    """
    table = CsvTable.read(path, expected={name for columns in choices for name in columns})
    columns = next((columns for columns in choices if set(columns) <= set(table.names)), None)
    if columns is None:
        wanted = " or ".join(", ".join(columns) for columns in choices)
        raise table.invalid(f"the columns {wanted}", f"{listed(table.names, shown=20) or 'none'}", REMEDY)
    values = [map(csv_text, table.texts(name)) for name in columns]
    for place, row in enumerate(zip(*values, strict=True)):
        yield table.row(place), dict(zip(columns, row, strict=True))


def _image(row: Mapping[str, str], *, prefix: str = "") -> Image:
    """Return the image of a row, by its file if it has one."""
    file = row[f"{prefix}file"]
    return (file,) if file else tuple(row[f"{prefix}{name}"] for name in PLACE)
