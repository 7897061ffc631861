"""Numbers beside baselines: ranked, at their places, ours put forward."""

from collections.abc import Callable

import pytest
from matplotlib.colors import to_hex

from triptych.visualisation.comparison import comparison_figure
from triptych.visualisation.style import SAME_CLASS

VALUES = {"1-NN on pixels": 0.967, "ours": 0.989, "1-NN on PCA": 0.97, "ours, too": 0.987, "linear": 0.92}
OURS = ("ours", "ours, too")


def test_numbers_are_ranked_and_lie_at_their_values() -> None:
    axes = comparison_figure(VALUES, ours=OURS, title="Accuracy").axes[0]
    dots = [line.get_xydata()[0] for line in axes.lines]
    ranked = sorted(VALUES.items(), key=lambda item: -item[1])

    assert [y for _, y in dots] == sorted(y for _, y in dots)
    unit = (dots[0][0] - dots[-1][0]) / (0.989 - 0.92)
    for (x, y), (name, value) in zip(dots, ranked, strict=True):
        assert x - dots[-1][0] == pytest.approx(unit * (value - 0.92))
        (label,) = (text for text in axes.texts if text.get_text() == name)
        (number,) = (text for text in axes.texts if text.get_text() == f"{value:.1%}")
        assert label.get_position()[1] == number.get_position()[1] == y
        assert label.get_position()[0] < dots[-1][0]


def test_ours_alone_are_bold_and_blue() -> None:
    axes = comparison_figure(VALUES, ours=OURS, title="Accuracy").axes[0]

    blue = [to_hex(line.get_color()) == SAME_CLASS for line in axes.lines]
    assert blue == [True, True, False, False, False]
    assert {text.get_text() for text in axes.texts if text.get_weight() == "bold"} == {
        "Accuracy",
        *OURS,
        "98.9%",
        "98.7%",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"alone": 0.5},
        {"a": 1.0, "b": 1.0},
        {"a": 0.0, "b": 0.0},
        {"a": -3.0, "b": 4.5},
        {str(n): n / 9 for n in range(9)},
    ],
)
def test_any_numbers_are_drawn_on_the_paper(
    values: dict[str, float], drawn_pixels: Callable, clipped_texts: Callable, overlapping_texts: Callable
) -> None:
    figure = comparison_figure(values, ours=list(values)[:1], title="Numbers", subtitle="of all kinds", number=".2f")

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert 0.003 < (picture != 255).any(axis=-1).mean() < 0.3
    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []


def test_names_that_are_long_or_look_like_mathematics_are_drawn_as_they_are(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    values = {"$\\nonsense{$": 0.5, "_hidden": 0.6, "a name that is much longer than any margin " * 2: 0.7}
    figure = comparison_figure(values, ours=(), title="$_{ " * 99)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert {"$\\nonsense{$", "_hidden"} < set(texts_of(figure))


def test_values_and_names_that_do_not_fit_are_refused() -> None:
    for wrong in ({}, {"a": float("nan")}, {"a": float("inf")}):
        with pytest.raises(
            ValueError, match=r"^values must be finite numbers by name, at least one, but .*; leave out"
        ):
            comparison_figure(wrong, ours=(), title="")
    with pytest.raises(ValueError, match=r"^ours must be names of values, \['a'\], but \['b'\] are not; give"):
        comparison_figure({"a": 1.0}, ours=("b",), title="")
