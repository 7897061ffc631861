import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from triptych.evaluation.audit import Audit
from triptych.evaluation.audit.audit import _ranked
from triptych.evaluation.audit.labels import doubt_labels
from triptych.evaluation.audit.outliers import find_outliers
from triptych.evaluation.audit.pool import Pool
from triptych.evaluation.audit.tables import write_tables
from triptych.inspection.duplicates import find_duplicates
from triptych.text import csv_text

CLASSES = ("zero", "one", "=two, too", *map(str, range(3, 10)))


def audit_of(pool: Pool, *, top: int | None = None) -> Audit:
    doubts, outliers = doubt_labels(pool), find_outliers(pool)
    return Audit(
        pool,
        CLASSES,
        doubts,
        _ranked(doubts.score, doubts.likely, top),
        find_duplicates(pool.images, pool.neighbours),
        outliers,
        _ranked(outliers.score, outliers.likely, top),
    )


@pytest.fixture(scope="module")
def found(digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]) -> Audit:
    """An audit with three wrong labels, and a copy of 7 at 1500 (test image 300)."""
    images, labels = digits[0].clone(), digits[1].clone()
    images[1500], labels[1500] = images[7], labels[7]
    labels[[300, 1300, 1350]] = (labels[[300, 1300, 1350]] + 5) % 10
    return audit_of(judged(images, labels))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tables_name_images_by_their_place_in_the_data_set(found: Audit, tmp_path: Path) -> None:
    write_tables(tmp_path, found)

    issues = rows(tmp_path / "label_issues.csv")
    row = int(found.label_issues[0])
    place = ("test", row - 1200) if row >= 1200 else ("val" if row >= 1000 else "train", row)
    issue = issues[0]
    assert (issue["split"], int(issue["index"])) == place
    assert [row["rank"] for row in issues] == [str(number) for number in range(1, len(issues) + 1)]
    assert {row["likely"] for row in issues} == {"yes"}
    assert csv_text(issue["label"]) == CLASSES[int(found.pool.labels[row])]
    assert csv_text(issue["suggested"]) == CLASSES[int(found.doubts.suggested[row])]
    assert math.isclose(float(issue["classifier_probability"]), float(found.doubts.classifier[row]), rel_tol=1e-4)
    copy = rows(tmp_path / "near_duplicates.csv")[0]
    assert (copy["split"], copy["index"], copy["other_split"], copy["other_index"]) == ("train", "7", "test", "300")
    assert (copy["exact"], copy["across_splits"], copy["labels_differ"]) == ("yes", "yes", "no")


def test_as_many_are_listed_as_requested(
    digits: tuple[Tensor, Tensor], judged: Callable[..., Pool], tmp_path: Path
) -> None:
    write_tables(tmp_path, audit_of(judged(*digits), top=25))

    for name in ("label_issues.csv", "outliers.csv"):
        listed = rows(tmp_path / name)
        scores = [float(row["score"]) for row in listed]
        assert len(listed) == 25
        assert scores == sorted(scores, reverse=True)


def test_without_a_decoder_its_signal_is_empty(
    digits: tuple[Tensor, Tensor], judged: Callable[..., Pool], tmp_path: Path
) -> None:
    write_tables(tmp_path, audit_of(judged(*digits, has_decoder=False), top=3))

    assert {row["reconstruction_error"] for row in rows(tmp_path / "label_issues.csv")} == {""}


def test_the_counts_are_those_of_the_tables(found: Audit, tmp_path: Path) -> None:
    write_tables(tmp_path, found)
    pairs = rows(tmp_path / "near_duplicates.csv")

    assert found.counts() == {
        "label_issues": len(rows(tmp_path / "label_issues.csv")),
        "duplicates": len(pairs),
        "exact": 1,
        "leaked": sum((pair["split"] == "test") != (pair["other_split"] == "test") for pair in pairs),
        "contradictions": sum(pair["labels_differ"] == "yes" for pair in pairs),
        "outliers": len(rows(tmp_path / "outliers.csv")),
    }


def test_no_cell_is_a_formula(found: Audit, tmp_path: Path) -> None:
    names = [f"@cmd{row}" for row in range(len(found.pool))]

    write_tables(tmp_path, replace(found, pool=replace(found.pool, names=names)))

    for name in ("label_issues.csv", "near_duplicates.csv", "outliers.csv"):
        cells = [cell for row in rows(tmp_path / name) for cell in row.values()]
        assert not any(cell.startswith(("=", "@", "+")) for cell in cells)
