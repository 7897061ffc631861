"""Learning curves: every value where it belongs, the noise calmed, runs of one point or with NaN drawn, too."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from triptych.visualisation.curves import curves_figure
from triptych.visualisation.paper.style import SAME_CLASS


def run(metrics: int = 6, points: int = 40, epochs: int = 5) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    generator = np.random.default_rng(0)
    steps = np.arange(1, points + 1) * 10.0
    ends = np.linspace(steps[-1] / epochs, steps[-1], epochs)
    return {
        f"metric {number}": {
            "training": (steps.tolist(), (np.exp(-steps / 100) + 0.1 * generator.random(points)).tolist()),
            "validation": (ends.tolist(), np.exp(-ends / 100).tolist()),
        }
        for number in range(metrics)
    }


def charts(figure: Figure) -> list:
    return figure.axes[1:]


@pytest.mark.parametrize("metrics", [1, 4, 7])
def test_any_number_of_metrics_is_drawn_on_the_paper(
    metrics: int, drawn_pixels: Callable, clipped_texts: Callable, overlapping_texts: Callable
) -> None:
    figure = curves_figure(run(metrics))

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert 0.005 < (picture != 255).any(axis=-1).mean() < 0.3
    assert len(charts(figure)) == metrics
    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []


def test_validation_is_drawn_as_it_is_and_each_point_marked() -> None:
    curves = run(1)
    (axes,) = charts(curves_figure(curves))
    steps, values = curves["metric 0"]["validation"]

    line = next(line for line in axes.lines if to_hex(line.get_color()) == SAME_CLASS)
    assert np.array_equal(line.get_xydata(), np.column_stack([steps, values]))
    (marks,) = axes.collections
    assert np.array_equal(marks.get_offsets(), np.column_stack([steps, values]))


def test_training_is_drawn_raw_and_faint_and_over_it_smoothed() -> None:
    curves = run(1, points=200)
    (axes,) = charts(curves_figure(curves))
    steps, values = map(np.array, curves["metric 0"]["training"])
    raw, smooth = (line for line in axes.lines if to_hex(line.get_color()) != SAME_CLASS)

    assert np.array_equal(raw.get_ydata(), values)
    assert raw.get_alpha() < 0.5
    truth = np.exp(-steps / 100) + 0.05
    assert np.abs(smooth.get_ydata() - truth)[20:].mean() < 0.5 * np.abs(values - truth)[20:].mean()
    naive = [np.average(values, weights=np.exp(-0.5 * ((np.arange(200) - i) / 6) ** 2)) for i in range(200)]
    assert np.allclose(smooth.get_ydata(), naive, atol=2e-3)


def test_a_constant_series_stays_constant_when_smoothed_to_its_ends() -> None:
    curve = {"loss": {"training": (np.arange(100), np.full(100, 0.5))}}
    (axes,) = charts(curves_figure(curve))

    assert np.allclose(axes.lines[1].get_ydata(), 0.5)


def test_the_last_values_stand_above_each_chart_and_the_series_in_the_key(texts_of: Callable) -> None:
    curves = {
        "accuracy": {"training": ([1, 2], [0.5, 0.875]), "validation": ([2], [0.8125])},
        "kl": {"training": ([1, 2], [300.0, 142.25]), "validation": ([2], [139.75])},
    }
    texts = texts_of(curves_figure(curves))

    assert {"accuracy", "kl", "training", "validation", "0.875", "0.812", "142", "140", "step"} < set(texts)
    assert texts.count("training") == texts.count("validation") == 1


def test_one_point_is_drawn_as_a_mark(drawn_pixels: Callable, clipped_texts: Callable) -> None:
    figure = curves_figure({"loss": {"training": ([3], [0.7]), "validation": ([3], [0.6])}})
    blue = (drawn_pixels(figure) == (0x00, 0x72, 0xB2)).all(axis=-1)

    assert len(charts(figure)[0].collections) == 2
    assert blue.sum() > 150
    assert clipped_texts(figure) == []


def test_values_that_are_not_finite_and_empty_series_are_left_out(drawn_pixels: Callable, texts_of: Callable) -> None:
    curves = {
        "loss": {"training": ([3, 1, 2], [np.nan, 2.0, np.inf]), "validation": ([], [])},
        "gone": {"training": ([1], [np.nan])},
        "none": {},
    }
    figure = curves_figure(curves)

    assert drawn_pixels(figure).min() < 100
    assert np.array_equal(charts(figure)[0].lines[0].get_xydata(), [[1.0, 2.0]])
    assert {"2", "none"} < set(texts_of(figure))


def test_noise_beyond_the_smooth_line_does_not_flatten_the_chart() -> None:
    values = np.linspace(1.0, 0.5, 100)
    values[50] = 1000.0
    curves = {"loss": {"training": (np.arange(100), values), "validation": ([99], [0.5])}}
    (axes,) = charts(curves_figure(curves))

    assert axes.get_ylim()[1] < 200


def test_names_that_are_long_or_look_like_mathematics_are_drawn_as_they_are(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    curves = {
        name: {"training": ([1, 2], [1e-7, 123456.0]), "$val_{": ([2], [-0.000123])}
        for name in ("$5_{$", "_hidden", "a metric with a name that no chart is wide enough for, not one")
    }
    figure = curves_figure(curves)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert {"$5_{$", "_hidden", "$val_{"} < set(texts_of(figure))
