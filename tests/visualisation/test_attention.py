"""The picture of attention: every map over its own image, bright where its share is large."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.visualisation.attention import attention_figure


def images(count: int, channels: int, side: int) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def luminance(picture: np.ndarray) -> np.ndarray:
    return np.asarray(picture) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize(
    ("count", "channels", "side", "grid"), [(1, 1, 8, 4), (9, 3, 32, 4), (3, 1, 28, 7), (2, 3, 224, 14), (1, 3, 64, 1)]
)
def test_any_number_and_kind_of_image_is_drawn_on_the_paper(
    count: int, channels: int, side: int, grid: int, drawn_pixels: Callable, clipped_texts: Callable
) -> None:
    maps = torch.rand(count, grid, grid).softmax(-1) / grid
    figure = attention_figure(images(count, channels, side), maps)

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert picture.std() > 20
    assert len(figure.axes[0].images) == 2 * count + 1  # and the key
    assert clipped_texts(figure) == []


def test_an_overlay_is_below_its_image_and_brightest_at_the_largest_share() -> None:
    maps = torch.full((3, 4, 4), 0.01)
    peaks = ((0, 3), (2, 1), (3, 3))
    for index, (row, column) in enumerate(peaks):
        maps[index, row, column] = 0.85
    shown = attention_figure(torch.full((3, 1, 32, 32), 0.5), maps).axes[0].images

    for index, (row, column) in enumerate(peaks):
        image, overlay = shown[2 * index : 2 * index + 2]
        assert image.get_extent()[:2] == overlay.get_extent()[:2]
        assert image.get_extent()[2] < overlay.get_extent()[3]
        light = luminance(overlay.get_array())
        patches = light.reshape(4, len(light) // 4, 4, -1).mean(axis=(1, 3))
        assert np.unravel_index(patches.argmax(), (4, 4)) == (row, column)
        assert patches.max() > 2 * np.median(patches)


def test_overlays_are_smooth_and_the_image_shines_through() -> None:
    maps = torch.zeros(1, 2, 2)
    maps[0, 0, 0] = 1.0
    half = torch.zeros(1, 3, 32, 32)
    half[..., 16:] = 1.0
    black, split = (
        luminance(attention_figure(image, maps).axes[0].images[1].get_array())
        for image in (torch.zeros(1, 3, 32, 32), half)
    )

    assert np.abs(np.diff(black, axis=0)).max() < 0.05
    middle = black.shape[1] // 2
    assert np.allclose(split[:, :middle], black[:, :middle])
    assert (split[:, middle:] > black[:, middle:] + 0.1).all()


def test_a_map_without_preference_has_one_colour_and_so_has_one_without_any_share() -> None:
    for value in (0.0, 1 / 16):
        figure = attention_figure(torch.zeros(1, 1, 32, 32), torch.full((1, 4, 4), value))
        assert np.ptp(figure.axes[0].images[1].get_array(), axis=(0, 1)).max() < 1e-6


def test_overlays_are_whole_squares_of_the_tile_so_that_nothing_is_resampled() -> None:
    for side, width in ((8, 4), (28, 8), (32, 8), (64, 3)):
        shown = attention_figure(images(width, 1, side), torch.rand(width, 4, 4)).axes[0].images
        for picture in shown[:-1]:
            left, right, *_ = picture.get_extent()
            assert (right - left) % picture.get_array().shape[1] == 0


def test_half_precision_gradients_and_long_titles_are_drawn(clipped_texts: Callable) -> None:
    maps = torch.rand(2, 4, 4, requires_grad=True)
    figure = attention_figure(images(2, 1, 8).half(), maps)

    assert clipped_texts(figure) == []
