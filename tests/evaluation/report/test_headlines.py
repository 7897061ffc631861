import math
from dataclasses import replace
from typing import Any

import pytest

from triptych.evaluation.report.headlines import Comparison, comparisons, panels, percent


def test_the_headline_of_each_panel_is_its_figure_in_words(reported: Any) -> None:
    figures = {**reported.evaluation.figures, "precision_at_1": 0.8125, "accuracy": 0.9, "mse": 0.04}

    compare, name, repaint = panels(replace(reported.evaluation, figures=figures))

    assert (compare.name, compare.value) == ("Compare", "81.2%")
    assert (name.name, name.value) == ("Name", "90.0%")
    assert name.meaning.startswith("36 of 360 test images got a wrong name.")
    assert (repaint.name, repaint.value) == ("Repaint", "20.0%")  # the root of 0.04
    assert "64 values of an image are repainted from 4 numbers" in repaint.meaning
    assert "MAP@R" in [title for title, _, _ in compare.details]


def test_guessing_the_commonest_class_is_told_beside_the_accuracy(reported: Any) -> None:
    _, name, _ = panels(reported.evaluation)
    commonest = max(reported.evaluation.outputs.labels.tolist().count(label) for label in range(10)) / 360

    assert f"would name {percent(commonest)} right" in name.meaning


def test_a_model_without_a_decoder_has_two_panels(reported: Any) -> None:
    outputs = replace(reported.evaluation.outputs, repainting=None)

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
def test_shares_have_as_many_digits_as_so_many_images_can_tell(share: float, of: int, written: str) -> None:
    assert percent(share, of=of) == written


FIGURES = {"accuracy": 0.97, "nearest_neighbour_accuracy": 0.95, "mse": 0.02, "kl_per_dimension": [1.0] * 8}
BASELINES = {"pixels_1nn": 0.9, "pca_1nn": 0.92, "linear_classifier": 0.85, "pca_mse": 0.04}


def compared(images: int = 10_000, baselines: dict[str, float] = BASELINES, **figures: float) -> list[Comparison]:
    return comparisons({**FIGURES, **figures}, baselines, images=images)


def test_bars_are_errors_the_best_first_and_ours_marked() -> None:
    naming, searching, repainting = compared()

    assert [(bar.title, bar.is_ours) for bar in searching.bars] == [
        ("This model's embeddings", True),
        ("PCA of the pixels", False),
        ("Raw pixels", False),
    ]
    assert [bar.value for bar in searching.bars] == pytest.approx([0.05, 0.08, 0.1])
    assert [bar.share for bar in searching.bars] == pytest.approx([0.5, 0.8, 1.0])
    assert [bar.written for bar in naming.bars] == ["3.00%", "15.00%"]
    assert [bar.title for bar in repainting.bars] == ["This model", "PCA with as many numbers (8)"]


def test_a_clear_win_is_told_as_a_factor() -> None:
    naming, searching, _ = compared()

    assert naming.verdict == "5.0 times fewer than with a linear classifier on pixels."
    assert searching.verdict == "1.6 times fewer than with PCA of the pixels, the best of the simple methods."


def test_a_small_but_clear_win_is_told_in_per_cent() -> None:
    naming, *_ = compared(accuracy=0.88)

    assert naming.verdict == "20% fewer than with a linear classifier on pixels."


def test_a_simple_method_that_does_better_is_named() -> None:
    naming, searching, _ = compared(accuracy=0.8, nearest_neighbour_accuracy=0.85)

    assert naming.verdict == "Worse than with a linear classifier on pixels: 20.00% are wrong, not 15.00%."
    assert searching.verdict == "Worse than with PCA of the pixels: 15.00% are wrong, not 8.00%."


@pytest.mark.parametrize(
    ("accuracy", "images", "is_clear"), [(0.858, 10_000, False), (0.865, 10_000, True), (0.90, 100, False)]
)
def test_a_difference_within_twice_its_standard_error_is_none(accuracy: float, images: int, is_clear: bool) -> None:
    # Of shares near 0.15 of 10,000 images the difference has a standard error of 0.005, of 100 one of 0.047.
    naming, *_ = compared(images, accuracy=accuracy)

    assert naming.verdict.startswith("No clear difference to a linear classifier") != is_clear


def test_not_one_mistake_is_no_division_by_zero() -> None:
    naming, *_ = compared(accuracy=1.0)
    both, *_ = compared(accuracy=1.0, baselines={**BASELINES, "linear_classifier": 1.0})

    assert naming.verdict == "Not one is wrong; with a linear classifier on pixels, 15.00% are."
    assert both.verdict.startswith("No clear difference")
    assert [bar.share for bar in both.bars] == [0, 0]


@pytest.mark.parametrize(
    ("mse", "verdict"),
    [
        (0.02, "This model repaints better: its error is 50% smaller."),
        (0.0401, "Both repaint equally well."),
        (0.06, "PCA repaints better: this model's error is 1.5 times as large."),
    ],
)
def test_repainting_is_compared_with_pca_of_as_many_numbers(mse: float, verdict: str) -> None:
    *_, repainting = compared(mse=mse)

    assert repainting.verdict.startswith(verdict)


def test_without_a_decoder_there_is_nothing_to_say_about_repainting() -> None:
    figures = {name: FIGURES[name] for name in ("accuracy", "nearest_neighbour_accuracy")}
    baselines = {name: value for name, value in BASELINES.items() if name != "pca_mse"}

    assert len(comparisons(figures, baselines, images=100)) == 2
