"""The picture of the latent: a bar to each dimension, ranked, with the active ones marked and counted."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from triptych.visualisation.latent import latent_figure
from triptych.visualisation.paper.style import SAME_CLASS


@pytest.mark.parametrize("dimensions", [1, 48, 300])
def test_any_number_of_dimensions_is_drawn_on_the_paper(
    dimensions: int, drawn_pixels: Callable, clipped_texts: Callable, overlapping_texts: Callable
) -> None:
    nats = torch.linspace(0, 5, dimensions)
    figure = latent_figure(nats, active=nats > 0.01)

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert 0.005 < (picture != 255).any(axis=-1).mean() < 0.6
    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []


def test_bars_are_ranked_numbered_and_blue_where_active(texts_of: Callable) -> None:
    figure = latent_figure(np.array([0.5, 3.25, 0.0, 1.0]), active=np.array([True, True, False, True]))
    axes = figure.axes[1]
    texts = texts_of(figure)

    assert [bar.get_height() for bar in axes.patches] == [3.25, 1.0, 0.5, 0.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "0", "2"]
    assert [to_hex(bar.get_facecolor()) == SAME_CLASS for bar in axes.patches] == [True, True, True, False]
    assert {"3 active", "1 not active", "4.8 nats in all"} < set(texts)


@pytest.mark.parametrize("nats", [np.zeros(8), np.full(8, 1e-9), np.array([-0.01, 2.0])])
def test_a_collapsed_latent_and_divergences_estimated_below_zero_are_drawn(
    nats: np.ndarray, clipped_texts: Callable
) -> None:
    figure = latent_figure(nats, active=nats > 0.01)

    assert clipped_texts(figure) == []
    low, high = figure.axes[1].get_ylim()
    assert low <= nats.min() <= nats.max() < high
