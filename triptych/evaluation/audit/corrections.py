"""Corrections of labels, from the tables of an audit and from a person's own: a table that training reads.

It is a CSV file with the columns `path` and `label`, or, of images without files, `split`, `index` and `label`, which
`dataset.corrections` names; an empty label drops the image.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from triptych.errors import DataError
from triptych.files import replacing
from triptych.text import csv_cell, csv_text

Image: TypeAlias = tuple[str, ...]
"""The path of an image, or its split and its index there."""

PATH, PLACE = ("path",), ("split", "index")
"""The columns that name an image."""

LARGEST = 64 * 2**20
"""Bytes of a table that are read."""


def suggested_corrections(folder: Path, *, top: int | None = None, drop_duplicates: bool = False) -> dict[Image, str]:
    """Return the corrections that an audit suggests.

    Args:
        folder: Where `triptych audit` wrote `label_issues.csv` and `near_duplicates.csv`.
        top: How many of the listed labels are corrected, the most doubtful first; None corrects those that are likely.
        drop_duplicates: Whether one image of every exact pair is dropped: the one outside the test set where the other
            is in it, else the second.

    Returns:
        The new label of each image, "" for one to drop.

    Raises:
        DataError: The tables are missing or damaged.
    """
    corrections: dict[Image, str] = {}
    for place, row in enumerate(_rows(folder / "label_issues.csv", (*PLACE, "file", "suggested", "likely"))):
        if row["likely"] == "yes" if top is None else place < top:
            corrections[_image(row)] = csv_text(row["suggested"])
    if drop_duplicates:
        others = tuple(f"other_{name}" for name in (*PLACE, "file"))
        for row in _rows(folder / "near_duplicates.csv", (*PLACE, "file", *others, "exact")):
            if row["exact"] == "yes":
                is_first = row["other_split"] == "test" != row["split"]
                corrections[_image(row, prefix="" if is_first else "other_")] = ""
    return corrections


def read_corrections(path: Path) -> dict[Image, str]:
    """Read a table of corrections.

    Raises:
        DataError: It is missing, damaged, lacks a column, or corrects one image in two ways.
    """
    corrections: dict[Image, str] = {}
    for number, row in enumerate(_rows(path, (*PATH, "label"), (*PLACE, "label")), start=2):
        image, label = tuple(csv_text(cell) for name, cell in row.items() if name != "label"), csv_text(row["label"])
        if corrections.setdefault(image, label) != label:
            raise DataError(
                f"{path}, line {number}: expected one label for {' '.join(image)}, got {label!r} after "
                f"{corrections[image]!r}. Remove one of the lines."
            )
    return corrections


def write_corrections(path: Path, corrections: Mapping[Image, str]) -> None:
    """Write a table of corrections, whole or not at all, in the order of the images.

    Raises:
        DataError: Some images are named by path, others by split and index.
    """
    if len({len(image) for image in corrections}) > 1:
        raise DataError("Expected corrections that name all images by path, or all by split and index; got both.")
    columns = PLACE if any(len(image) == len(PLACE) for image in corrections) else PATH
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*columns, "label"))
        writer.writerows((*map(csv_cell, image), csv_cell(label)) for image, label in sorted(corrections.items()))


def _rows(path: Path, *choices: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that has the columns of one of the choices, the first that fits."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: expected a table of at most {LARGEST >> 20} MiB. Is it another file?")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = set(reader.fieldnames or ())
            columns = next((columns for columns in choices if found.issuperset(columns)), None)
            if columns is None:
                wanted = " or ".join(", ".join(columns) for columns in choices)
                raise DataError(f"{path}: expected a CSV file with the columns {wanted}; got {', '.join(found)[:200]}.")
            for row in reader:
                yield {name: row[name] or "" for name in columns}
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such table. Run `triptych audit` first, or check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8; got: {error}.") from error


def _image(row: Mapping[str, str], *, prefix: str = "") -> Image:
    """Return the image of a row, by its file where it has one."""
    file = csv_text(row[f"{prefix}file"])
    return (file,) if file else tuple(row[f"{prefix}{name}"] for name in PLACE)
