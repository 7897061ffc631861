import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from triptych.evaluation.measuring.baselines import Baselines
from triptych.evaluation.report.headlines import Comparison, comparisons, panels, percent
from triptych.runs.per_image import PerImage


def test_the_headline_of_each_panel_is_its_figure_in_words(reported: Any) -> None:
    figures = {**reported.evaluation.figures, "precision_at_1": 0.8125, "accuracy": 0.9, "mse": 0.04}

    compare, name, repaint = panels(replace(reported.evaluation, figures=figures))

    assert (compare.name, compare.value) == ("Compare", "81.2%")
    assert (name.name, name.value) == ("Name", "90.0%")
    assert name.meaning.startswith("36 of 360 test images are misclassified.")
    assert (repaint.name, repaint.term, repaint.value) == ("Repaint", "reconstruction", "0.200")  # the root of 0.04
    assert "64 values of an image are reconstructed from 36 latent dimensions" in repaint.meaning
    low, high = figures["intervals"]["precision_at_1"]
    assert compare.interval == f"{100 * low:.1f}% to {100 * high:.1f}%"
    assert "MAP@R" in [title for title, _, _ in compare.details]


def test_the_most_frequent_class_stands_beside_the_accuracy(reported: Any) -> None:
    _, name, _ = panels(reported.evaluation)
    commonest = max(reported.evaluation.outputs.labels.tolist().count(label) for label in range(10)) / 360

    assert f"alone gives an accuracy of {percent(commonest)}" in name.meaning


def test_a_model_without_a_decoder_has_two_panels(reported: Any) -> None:
    outputs = replace(reported.evaluation.outputs, reconstructed=None)

    assert [panel.name for panel in panels(replace(reported.evaluation, outputs=outputs))] == ["Compare", "Name"]


@pytest.mark.parametrize(
    ("share", "of", "written"),
    [
        (0.5, 0, "50.0%"),
        (0.0, 0, "0%"),
        (1.0, 10**6, "100%"),
        (0.9895, 10_000, "98.95%"),
        (0.9895, 360, "99.0%"),
        (math.nan, 9, "n/a"),
    ],
)
def test_shares_have_as_many_digits_as_the_number_of_images_supports(share: float, of: int, written: str) -> None:
    assert percent(share, of=of) == written


IMAGES = 1000


def compared(
    reported: Any,
    *,
    ours: int = 30,
    linear: int = 150,
    both: int = 0,
    nearest: int = 50,
    pixels: int = 100,
    pca: int = 80,
    **figures: Any,
) -> list[Comparison]:
    """Compare made-up numbers of errors on 1,000 images, of which `both` are common to our classifier and another."""
    place = np.arange(IMAGES)
    evaluation = reported.evaluation
    columns = {
        "label": np.zeros(IMAGES, int),
        "prediction": (place < ours).astype(int),
        "nearest_class": (place < nearest).astype(int),
    }
    shifted = (place >= ours - both) & (place < ours - both + linear)
    correct = {
        "linear_classifier": ~shifted,
        "pixels_1nn": place >= pixels,
        "pca_1nn": place >= pca,
    }
    given = {"mse": 0.02, "kl_per_dimension": [1.0] * 8, "intervals": {"mse": [0.019, 0.021]}, **figures}
    return comparisons(
        replace(
            evaluation,
            table=PerImage(columns, {}),
            figures=given,
            baselines=Baselines({"pca_mse": 0.04}, correct),
        )
    )


def test_bars_are_errors_the_best_first_and_ours_marked(reported: Any) -> None:
    classified, retrieved, reconstructed = compared(reported)

    assert [(bar.title, bar.is_ours) for bar in retrieved.bars] == [
        ("This model's embeddings", True),
        ("PCA of the pixels", False),
        ("Raw pixels", False),
    ]
    assert [bar.value for bar in retrieved.bars] == pytest.approx([0.05, 0.08, 0.1])
    assert [bar.share for bar in retrieved.bars] == pytest.approx([0.5, 0.8, 1.0])
    assert [bar.written for bar in classified.bars] == ["3.0%", "15.0%"]
    assert [bar.title for bar in reconstructed.bars] == ["This model", "PCA with as many dimensions (8)"]


def test_a_clear_win_is_a_factor_with_its_interval(reported: Any) -> None:
    """Bonett & Price: 150 / 30, and exp(± 1.96 √(180 / 4500)) around it."""
    classified, retrieved, _ = compared(reported)

    assert classified.verdict == (
        "5.0 times fewer errors (95% interval: 3.4 to 7.4) than a linear classifier on pixels."
    )
    assert retrieved.verdict.startswith("1.6 times fewer errors (95% interval: 1.4 to 1.9) than PCA of the pixels,")


def test_a_factor_on_three_errors_has_a_wide_interval(reported: Any) -> None:
    classified, *_ = compared(reported, ours=3, linear=91)

    assert classified.verdict.startswith("30 times fewer errors (95% interval: 9.6 to 96)")


def test_a_small_but_clear_win_is_in_per_cent(reported: Any) -> None:
    classified, *_ = compared(reported, ours=120, both=110)

    assert classified.verdict.startswith("20% fewer errors (95% interval: ")


def test_a_simple_method_that_does_better_is_named(reported: Any) -> None:
    classified, retrieved, _ = compared(reported, ours=200, nearest=150)

    assert classified.verdict == "Worse than a linear classifier on pixels: 20.0% errors against 15.0%."
    assert retrieved.verdict == "Worse than PCA of the pixels: 15.0% errors against 8.0%."


@pytest.mark.parametrize(("ours", "both", "is_clear"), [(140, 0, False), (140, 140, True), (145, 145, False)])
def test_a_difference_is_clear_by_mcnemars_test(reported: Any, ours: int, both: int, is_clear: bool) -> None:
    classified, *_ = compared(reported, ours=ours, both=both)

    assert classified.verdict.startswith("No clear difference from a linear classifier") != is_clear


def test_no_error_is_no_division_by_zero(reported: Any) -> None:
    classified, *_ = compared(reported, ours=0)
    both, *_ = compared(reported, ours=0, linear=0)

    assert classified.verdict == "No errors; a linear classifier on pixels: 15.0%."
    assert both.verdict.startswith("No clear difference")
    assert [bar.share for bar in both.bars] == [0, 0]


@pytest.mark.parametrize(
    ("mse", "bounds", "verdict"),
    [
        (0.02, [0.018, 0.022], "This model reconstructs better: its error is 50% smaller (95% interval: 45% to 55%)."),
        (0.0401, [0.038, 0.042], "No clear difference from PCA"),
        (0.06, [0.058, 0.062], "PCA reconstructs better: this model's error is 1.5 times as large."),
    ],
)
def test_reconstruction_is_compared_with_pca(reported: Any, mse: float, bounds: list[float], verdict: str) -> None:
    *_, reconstructed = compared(reported, mse=mse, intervals={"mse": bounds})

    assert reconstructed.verdict.startswith(verdict)


def test_without_a_decoder_reconstruction_is_not_compared(reported: Any) -> None:
    evaluation = reported.evaluation
    figures = {name: value for name, value in evaluation.figures.items() if name != "mse"}

    assert len(comparisons(replace(evaluation, figures=figures))) == 2
