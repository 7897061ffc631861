"""The audit as CSV files: one row per image or pair, the most suspicious first."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from triptych.evaluation.audit.audit import Audit
from triptych.files import replacing
from triptych.text import csv_cell

Row = Sequence[str | int | float]

LABEL_ISSUES = (
    *("rank", "split", "index", "file", "label", "suggested", "score"),
    *("classifier_probability", "neighbour_agreement", "reconstruction_error", "likely"),
)
NEAR_DUPLICATES = (
    *("rank", "split", "index", "file", "label", "other_split", "other_index", "other_file", "other_label"),
    *("similarity", "exact", "across_splits", "labels_differ"),
)
OUTLIERS = (
    *("rank", "split", "index", "file", "label", "score"),
    *("neighbour_distance", "classifier_entropy", "reconstruction_error", "likely"),
)


def write_tables(folder: Path, audit: Audit) -> None:
    """Write `label_issues.csv`, `near_duplicates.csv` and `outliers.csv`, each atomically.

    `index` is an image's position in the data set's own training file (splits train and val) or test file, from 0;
    `file` is empty for images without a file. A signal that the model does not have, such as the reconstruction error
    of a model without a decoder, has empty cells there. Text that a spreadsheet would take for a formula is marked by
    an apostrophe.
    """
    _write(folder / "label_issues.csv", LABEL_ISSUES, _label_issues(audit))
    _write(folder / "near_duplicates.csv", NEAR_DUPLICATES, _duplicates(audit))
    _write(folder / "outliers.csv", OUTLIERS, _outliers(audit))


def _write(path: Path, head: Row, rows: Iterable[Row]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([csv_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def _label_issues(audit: Audit) -> Iterator[Row]:
    doubts = audit.doubts
    for rank, row in enumerate(audit.label_issues.tolist(), start=1):
        yield (
            rank,
            *_place(audit, row),
            audit.classes[int(doubts.suggested[row])],
            _number(doubts.score[row].item()),
            _number(doubts.classifier[row].item()),
            _number(doubts.agreement[row].item()),
            _error(audit, row),
            _yes(doubts.likely[row]),
        )


def _duplicates(audit: Audit) -> Iterator[Row]:
    labels, pool = audit.pool.labels, audit.pool
    columns = (column.tolist() for column in audit.duplicates)
    for rank, (first, second, similarity, exact) in enumerate(zip(*columns, strict=True), start=1):
        yield (
            rank,
            *_place(audit, first),
            *_place(audit, second),
            _number(similarity),
            _yes(exact),
            _yes(pool.split[first] != pool.split[second]),
            _yes(labels[first] != labels[second]),
        )


def _outliers(audit: Audit) -> Iterator[Row]:
    found = audit.outliers
    for rank, row in enumerate(audit.outlier_rows.tolist(), start=1):
        yield (
            rank,
            *_place(audit, row),
            _number(found.score[row].item()),
            _number(found.distance[row].item()),
            _number(found.uncertainty[row].item()),
            _error(audit, row),
            _yes(found.likely[row]),
        )


def _place(audit: Audit, row: int) -> tuple[str, int, str, str]:
    pool = audit.pool
    name = pool.names[row] if pool.names else ""
    return pool.split_name(row), int(pool.position[row]), name, audit.classes[int(pool.labels[row])]


def _error(audit: Audit, row: int) -> str | float:
    return "" if audit.pool.error is None else _number(audit.pool.error[row].item())


def _number(value: float) -> float:
    return float(f"{value:.6g}")


def _yes(is_true: object) -> str:
    return "yes" if is_true else "no"
