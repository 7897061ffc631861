"""Images on a sheet: crisp where there is room, of the right size everywhere, framed evenly."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from triptych.visualisation.paper.style import SAME_CLASS, new_figure
from triptych.visualisation.paper.tiles import Tile, draw_image, tiles_across

sides = st.integers(1, 600)


@given(sides, sides, st.integers(-5, 400))
def test_a_tile_keeps_the_shape_and_is_a_whole_multiple_where_the_image_fits(
    height: int, width: int, side: int
) -> None:
    tile = Tile.of(torch.empty(1, height, width), side=side)
    allowed = max(1, min(side, 270))

    assert 1 <= max(tile.width, tile.height) <= allowed
    assert tile.enlarged == (max(height, width) <= allowed)
    if tile.enlarged:
        factor = tile.width // width
        assert (tile.width, tile.height) == (factor * width, factor * height)
        assert (factor + 1) * max(height, width) > allowed


@given(sides, st.integers(1, 60), st.integers(400, 2000))
def test_images_side_by_side_never_leave_their_width(side: int, count: int, width: int) -> None:
    tile, gap = tiles_across(torch.empty(1, side, side), count, width)

    assert 12 <= gap <= 28
    assert count * tile.width + (count - 1) * gap <= max(width, 13 * count)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_framed_image_is_drawn_pixel_by_pixel_within_its_frame(channels: int, drawn_pixels: Callable) -> None:
    image = torch.rand(channels, 5, 8, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    figure = new_figure(200, 150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 200), ylim=(150, 0), autoscale_on=False)
    tile = Tile.of(image, side=100)
    draw_image(axes, image, tile, x=30, y=20, frame=SAME_CLASS, frame_width=6)
    axes.set_axis_off()
    picture = drawn_pixels(figure)

    expected = (255 * image.clamp(0, 1)).round().expand(3, -1, -1).permute(1, 2, 0)
    expected = expected.repeat_interleave(12, 0).repeat_interleave(12, 1).numpy()
    assert np.abs(picture[20:80, 30:126] - expected).max() <= 1
    framed = (picture == np.round(255 * np.array(to_rgb(SAME_CLASS)))).all(axis=-1)
    assert framed[14:86, 24:132].sum() == framed.sum() == 72 * 108 - 60 * 96
