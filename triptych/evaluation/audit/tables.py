"""The audit as CSV files: one row for each image or pair, the worst first, for whoever mends the data."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from triptych.evaluation.audit.audit import Audit
from triptych.files import replacing

TABLES = ("label_issues.csv", "near_duplicates.csv", "outliers.csv")

Row = Sequence[str | int | float]


def write_tables(folder: Path, audit: Audit, *, classes: Sequence[str]) -> None:
    """Write `label_issues.csv`, `near_duplicates.csv` and `outliers.csv`, each whole or not at all.

    `index` is an image's position in the data set's own training file (splits train and validation) or test file, from
    0; `file` is empty for images without a name. Signals that the model does not have, as a model without a decoder,
    leave their cells empty.
    """
    for name, (head, rows) in zip(
        TABLES, (_label_issues(audit, classes), _duplicates(audit, classes), _outliers(audit, classes)), strict=True
    ):
        with replacing(folder / name) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(rows)


def _label_issues(audit: Audit, classes: Sequence[str]) -> tuple[Row, Iterable[Row]]:
    head = (
        *("rank", "split", "index", "file", "label", "suggested", "score"),
        *("classifier_probability", "neighbour_agreement", "reconstruction_error", "likely"),
    )
    doubts = audit.doubts
    rows = [
        (
            rank,
            *_place(audit, row),
            classes[int(audit.pool.labels[row])],
            classes[int(doubts.suggested[row])],
            _number(doubts.score[row].item()),
            _number(doubts.classifier[row].item()),
            _number(doubts.agreement[row].item()),
            _error(audit, row),
            "yes" if doubts.likely[row] else "no",
        )
        for rank, row in enumerate(audit.label_issues.tolist(), start=1)
    ]
    return head, rows


def _duplicates(audit: Audit, classes: Sequence[str]) -> tuple[Row, Iterable[Row]]:
    head = (
        *("rank", "split", "index", "file", "label", "other_split", "other_index", "other_file", "other_label"),
        *("similarity", "exact", "across_splits", "labels_differ"),
    )
    labels, names = audit.pool.labels, audit.pool.split_names()
    rows = [
        (
            rank,
            *_place(audit, first),
            classes[int(labels[first])],
            *_place(audit, second),
            classes[int(labels[second])],
            _number(similarity),
            "yes" if exact else "no",
            "yes" if names[first] != names[second] else "no",
            "yes" if labels[first] != labels[second] else "no",
        )
        for rank, (first, second, similarity, exact) in enumerate(
            zip(*(column.tolist() for column in audit.duplicates), strict=True), start=1
        )
    ]
    return head, rows


def _outliers(audit: Audit, classes: Sequence[str]) -> tuple[Row, Iterable[Row]]:
    head = (
        *("rank", "split", "index", "file", "label", "score"),
        *("neighbour_distance", "classifier_entropy", "reconstruction_error", "likely"),
    )
    found = audit.outliers
    rows = [
        (
            rank,
            *_place(audit, row),
            classes[int(audit.pool.labels[row])],
            _number(found.score[row].item()),
            _number(found.distance[row].item()),
            _number(found.uncertainty[row].item()),
            _error(audit, row),
            "yes" if found.likely[row] else "no",
        )
        for rank, row in enumerate(audit.outlier_rows.tolist(), start=1)
    ]
    return head, rows


def _place(audit: Audit, row: int) -> tuple[str, int, str]:
    pool = audit.pool
    return pool.split_names()[row], int(pool.position[row]), pool.names[row] if pool.names else ""


def _error(audit: Audit, row: int) -> str:
    return "" if audit.pool.error is None else _number(audit.pool.error[row].item())


def _number(value: float) -> str:
    return f"{value:.6g}"
