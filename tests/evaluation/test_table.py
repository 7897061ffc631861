import math
from io import StringIO
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from triptych.evaluation.table import baseline_rows, figure_rows, figures_table


def test_all_single_numbers_are_explained_in_the_order_of_their_definitions() -> None:
    rows = figure_rows({"mse": 0.01, "confusion": [[1]], "accuracy": 0.5, "silhouette": math.nan})

    assert [row.title for row in rows] == ["accuracy", "silhouette", "reconstruction MSE"]
    assert all(row.meaning for row in rows)
    assert rows[1].value == "n/a"


def test_every_baseline_has_a_name() -> None:
    rows = baseline_rows({"pixels_1nn": 0.97, "pca_mse": 0.0123})

    assert [(row.title, row.value) for row in rows] == [
        ("1-NN on raw pixels", "0.9700"),
        ("reconstruction MSE of PCA", "0.0123"),
    ]


def test_the_title_is_shown_as_it_is_and_no_terminal_obeys_it() -> None:
    evaluation: Any = SimpleNamespace(
        figures={"accuracy": 0.5}, holdout={}, baselines=SimpleNamespace(figures={"pixels_1nn": 0.25})
    )
    text = StringIO()

    Console(file=text, width=80).print(figures_table(evaluation, title="best.ckpt: 5 images of a\x1b[2J[/x]"))

    assert "best.ckpt: 5 images of a\\x1b[2J[/x]" in text.getvalue()
