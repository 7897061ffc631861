"""The confusion matrix: counts and colours in their cells, right against wrong, from one class to a thousand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from triptych.visualisation.confusion import confusion_figure
from triptych.visualisation.paper.style import OTHER_CLASS, SAME_CLASS


def table(classes: int, *, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.poisson(1 / classes, size=(classes, classes)) + np.diag(generator.integers(20, 100, classes))


def names(classes: int) -> list[str]:
    return [f"class {number}" for number in range(classes)]


def cells(figure: Figure) -> np.ndarray:
    (matrix,) = figure.axes[0].images
    return np.asarray(matrix.get_array())


@pytest.mark.parametrize("classes", [1, 31, 110])
def test_any_number_of_classes_is_drawn_on_the_paper(
    classes: int, drawn_pixels: Callable, clipped_texts: Callable
) -> None:
    figure = confusion_figure(table(classes), classes=names(classes))

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert 0.01 < (picture != 255).any(axis=-1).mean() < 0.8
    assert clipped_texts(figure) == []


def test_a_thousand_classes_are_drawn_without_their_names(drawn_pixels: Callable, texts_of: Callable) -> None:
    figure = confusion_figure(torch.eye(1000, dtype=torch.long), classes=names(1000))

    assert (drawn_pixels(figure) == np.round(255 * np.array(to_rgb(SAME_CLASS)))).all(axis=-1).sum() > 1000
    assert not any(text.startswith("class ") for text in texts_of(figure))


@pytest.mark.parametrize("classes", [2, 10])
def test_texts_do_not_lie_on_one_another(classes: int, overlapping_texts: Callable) -> None:
    figure = confusion_figure(table(classes), classes=names(classes))

    assert overlapping_texts(figure) == []


def test_a_cell_is_as_strong_as_the_root_of_its_share_and_blue_only_when_right() -> None:
    counts = np.array([[99, 1, 0], [25, 50, 25], [0, 0, 0]])
    colours = cells(confusion_figure(counts, classes="abc"))

    for row in range(3):
        for column in range(3):
            full = np.array(to_rgb(SAME_CLASS if row == column else OTHER_CLASS))
            share = counts[row, column] / max(1, counts[row].sum())
            expected = 1 - np.sqrt(share) * (1 - full) if share else to_rgb("#f5f6f7")
            assert np.allclose(colours[row, column], expected)


def test_counts_names_and_recall_stand_in_their_rows_and_columns() -> None:
    counts = np.array([[8, 2, 0], [0, 1200, 0], [0, 0, 0]])
    figure = confusion_figure(counts, classes=("cat", "dog", "emu"))
    (left, right, bottom, top), side = figure.axes[0].images[0].get_extent(), 3
    cell = (right - left) / side
    places = {text.get_text(): text.get_position() for text in reversed(figure.axes[0].texts)}  # the list comes last

    def column(text: str) -> float:
        return (places[text][0] - left) / cell

    def row(text: str) -> float:
        return (places[text][1] - top) / cell

    assert (row("8"), column("8")) == (0.5, 0.5)
    assert (row("2"), column("2")) == (0.5, 1.5)
    assert (row("1,200"), column("1,200")) == (1.5, 1.5)
    assert (row("80.0%"), row("100.0%")) == (0.5, 1.5)
    assert "0" not in places
    for number, name in enumerate(("cat", "dog", "emu")):
        found = [text.get_position() for text in figure.axes[0].texts if text.get_text() == name]
        assert [(y - top) / cell for x, y in found if x < left] == [number + 0.5]
        assert [(x - left) / cell for x, y in found if y < top] == [number + 0.5]
    assert (bottom - top) == (right - left)


def test_the_most_frequent_errors_are_put_into_words(texts_of: Callable) -> None:
    counts = torch.tensor([[900, 70, 3], [5, 900, 1], [0, 8, 900]])
    texts = texts_of(confusion_figure(counts, classes=("cat", "dog", "emu")))

    said = [text for text in texts if " as " in text]
    assert said == ["cat as dog", "emu as dog", "dog as cat", "cat as emu", "dog as emu"]
    names = ("a very long name of a class", "another name that is long", "b")
    assert {"a very… as another…", "b as another name t…"} < set(texts_of(confusion_figure(counts, classes=names)))
    assert "No errors" in texts_of(confusion_figure(np.eye(3, dtype=int), classes="abc"))


def test_names_that_are_long_or_look_like_mathematics_are_drawn_as_they_are(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    classes = ("_hidden", "$5 and $10", "$\\nonsense{$", "a name that is much longer than any margin can be wide " * 2)
    figure = confusion_figure(table(4), classes=classes)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert {"_hidden", "$5 and $10", "$\\nonsense{$"} < set(texts_of(figure))
