"""The reliability diagram: bars, gaps and the error by the definition, for the sure and the unsure."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from triptych.visualisation.calibration import calibration_figure


def predictions(count: int = 2000, *, excess: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 1.0, count)
    return confidence, generator.random(count) < confidence - excess


@pytest.mark.parametrize("count", [1, 3, 2000])
def test_any_number_of_predictions_is_drawn_on_the_paper(
    count: int, drawn_pixels: Callable, clipped_texts: Callable, overlapping_texts: Callable
) -> None:
    figure = calibration_figure(*predictions(count))

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert 0.01 < (picture != 255).any(axis=-1).mean() < 0.6
    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []


def test_bars_gaps_and_histogram_are_those_of_the_bins_counted_one_by_one() -> None:
    confidence, correct = predictions(400)
    confidence[:3] = (0.0, 0.5, 1.0)  # on the edges of the bins
    figure = calibration_figure(confidence, correct)
    diagram, histogram = figure.axes[1:]
    right, gap = diagram.containers
    sizes = {round(bar.get_x() + bar.get_width() / 2, 2): bar.get_height() for bar in histogram.patches}

    drawn = 0
    for number in range(15):
        lower, upper = number / 15, (number + 1) / 15
        inside = [i for i in range(400) if lower < confidence[i] <= upper or (number == 0 and confidence[i] == 0)]
        middle = round(lower + 1 / 30, 2)
        assert sizes[middle] == len(inside)
        if not inside:
            continue
        bar, shaded = right[drawn], gap[drawn]
        share, sure = np.mean(correct[inside]), np.mean(confidence[inside])
        assert round(bar.get_x() + bar.get_width() / 2, 2) == middle
        assert bar.get_height() == pytest.approx(share)
        assert sorted((shaded.get_y(), shaded.get_y() + shaded.get_height())) == pytest.approx(sorted((share, sure)))
        drawn += 1
    assert drawn == len(right) == len(gap)


@pytest.mark.parametrize("excess", [0.15, -0.1])
def test_the_error_written_is_that_of_torchmetrics(excess: float, texts_of: Callable) -> None:
    confidence, correct = predictions(excess=excess)
    # A binary "probability of being right" above a half is its own confidence.
    confidence, correct = confidence[confidence > 0.5], correct[confidence > 0.5]
    # torchmetrics flips a confidence below a half only.
    error = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=15)
    texts = texts_of(calibration_figure(torch.from_numpy(confidence), torch.from_numpy(correct)))

    assert f"{float(error):.1%}" in texts
    assert f"{correct.mean():.1%}" in texts
    assert f"{confidence.mean():.1%}" in texts
    points = 100 * (confidence.mean() - correct.mean())
    assert f"by {abs(points):.1f} points on average" in texts
    assert ("overconfident" if excess > 0 else "underconfident") in texts


def test_a_calibrated_model_is_called_so(texts_of: Callable) -> None:
    texts = texts_of(calibration_figure(np.full(4, 0.75), np.array([True, True, True, False])))

    assert "confidence equals accuracy" in texts
    assert texts.count("75.0%") == 2


def test_intervals_hold_the_share_and_shrink_with_the_number_of_images() -> None:
    lengths = []
    for count in (10, 1000):
        confidence, correct = np.full(count, 0.9), np.arange(count) < 0.8 * count
        figure = calibration_figure(confidence, correct)
        (interval,) = (lines for lines in figure.axes[1].collections if lines.get_label() == "95% interval")
        (_, low), (_, high) = interval.get_segments()[0]
        assert low < 0.8 < high
        lengths.append(high - low)

    # Agresti and Coull's tables: Wilson's interval of 8 in 10 is 0.490 to 0.943.
    assert lengths[0] == pytest.approx(0.943 - 0.490, abs=1e-3)
    assert lengths[1] < 0.06
