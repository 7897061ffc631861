"""Corrections of labels, from the tables of an audit and from a person's own: a table that training reads.

It is a CSV file with the columns `path` and `label`, which `dataset.corrections` names; an empty label drops the image.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.errors import DataError
from triptych.files import replacing
from triptych.text import csv_cell, csv_text

LARGEST = 64 * 2**20
"""Bytes of a table that are read."""


def suggested_corrections(folder: Path, *, top: int | None = None, drop_duplicates: bool = False) -> dict[str, str]:
    """Return the corrections that an audit suggests.

    Args:
        folder: Where `triptych audit` wrote `label_issues.csv` and `near_duplicates.csv`.
        top: How many of the listed labels are corrected, the most doubtful first; None corrects those that are likely.
        drop_duplicates: Whether one image of every exact pair is dropped: the one outside the test set where the other
            is in it, else the second.

    Returns:
        The new label by path, "" for an image to drop.

    Raises:
        DataError: The tables are missing or damaged, or the images have no files to name.
    """
    corrections: dict[str, str] = {}
    for place, row in enumerate(_rows(folder / "label_issues.csv", ("file", "suggested", "likely"))):
        if row["likely"] == "yes" if top is None else place < top:
            corrections[_file(row["file"], folder)] = csv_text(row["suggested"])
    if drop_duplicates:
        columns = ("file", "split", "other_file", "other_split", "exact")
        for row in _rows(folder / "near_duplicates.csv", columns):
            if row["exact"] == "yes":
                dropped = "file" if row["other_split"] == "test" != row["split"] else "other_file"
                corrections[_file(row[dropped], folder)] = ""
    return corrections


def read_corrections(path: Path) -> dict[str, str]:
    """Read a table of corrections.

    Raises:
        DataError: It is missing, damaged, lacks a column, or corrects one path in two ways.
    """
    corrections: dict[str, str] = {}
    for number, row in enumerate(_rows(path, ("path", "label")), start=2):
        image, label = csv_text(row["path"]), csv_text(row["label"])
        if corrections.setdefault(image, label) != label:
            raise DataError(
                f"{path}, line {number}: expected one label for {image}, got {label!r} after {corrections[image]!r}. "
                "Remove one of the lines."
            )
    return corrections


def write_corrections(path: Path, corrections: Mapping[str, str]) -> None:
    """Write a table of corrections, whole or not at all, in the order of the paths."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows((csv_cell(image), csv_cell(label)) for image, label in sorted(corrections.items()))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that has some columns."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: expected a table of at most {LARGEST >> 20} MiB. Is it another file?")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise DataError(
                    f"{path}: expected a CSV file with the columns {', '.join(columns)}; {', '.join(missing)} is "
                    "missing."
                )
            for row in reader:
                yield {name: row[name] or "" for name in columns}
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such table. Run `triptych audit` first, or check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8; got: {error}.") from error


def _file(cell: str, folder: Path) -> str:
    if not cell:
        raise DataError(
            f"{folder}: expected images with files; the audited data set has none, so that its labels cannot be "
            "corrected by path. Corrections work for your own images (folder, table)."
        )
    return csv_text(cell)
