import math
from dataclasses import replace
from typing import Any

import pytest

from triptych.evaluation.report.panels import panels, percent


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
