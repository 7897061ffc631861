import math

from triptych.evaluation.table import baseline_rows, figure_rows


def test_all_single_numbers_are_explained_in_the_order_of_their_definitions() -> None:
    rows = figure_rows({"mse": 0.01, "confusion": [[1]], "accuracy": 0.5, "silhouette": math.nan})

    assert [row.title for row in rows] == ["accuracy", "silhouette", "reconstruction MSE"]
    assert all(row.meaning for row in rows)


def test_every_baseline_has_a_name() -> None:
    rows = baseline_rows({"pixels_1nn": 0.97, "pca_mse": 0.0123})

    assert [(row.title, row.value) for row in rows] == [
        ("1-NN on raw pixels", "0.9700"),
        ("reconstruction MSE of PCA", "0.0123"),
    ]
