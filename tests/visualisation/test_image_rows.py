"""Rows of images: crisp, in order, with their words at their places, whatever they show."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from triptych.visualisation.image_rows import ImageRow, image_rows_figure, reconstruction_grid


def images(count: int, channels: int = 1, side: int = 8, *, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def extents(figure: Figure) -> list[list[float]]:
    return [shown.get_extent() for shown in figure.axes[0].images]


@pytest.mark.parametrize(
    ("rows", "count", "channels", "side"),
    [(1, 1, 1, 8), (3, 10, 3, 32), (2, 12, 1, 28), (2, 3, 3, 224), (1, 100, 1, 8)],
)
def test_any_number_and_kind_of_image_is_drawn_on_the_paper(
    rows: int, count: int, channels: int, side: int, drawn_pixels: Callable, clipped_texts: Callable
) -> None:
    figure = image_rows_figure(
        [ImageRow(images(count, channels, side), name="a name", note="a note", captions=["word"] * count)] * rows,
    )

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert picture.std() > 15
    assert len(figure.axes[0].images) == rows * count
    assert clipped_texts(figure) == []


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32)])
def test_each_pixel_of_an_image_is_one_square_of_exactly_its_colour(
    channels: int, side: int, drawn_pixels: Callable
) -> None:
    drawn = images(5, channels, side)
    figure = image_rows_figure([ImageRow(drawn[:3]), ImageRow(drawn[3:], framed=(0,))])
    picture = drawn_pixels(figure)
    down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])

    for image, (left, right, bottom, top) in zip(drawn, np.round(extents(figure)).astype(int), strict=True):
        factor = (right - left) // side
        expected = (255 * image).round().expand(3, -1, -1).permute(1, 2, 0)
        expected = expected.repeat_interleave(factor, 0).repeat_interleave(factor, 1).numpy()
        assert np.abs(picture[top + down : bottom + down, left:right] - expected).max() <= 1


def test_joined_rows_stand_closer_and_columns_in_line() -> None:
    rows = [
        ImageRow(images(4)),
        ImageRow(images(4), joined=True),
        ImageRow(images(2)),
        ImageRow(images(2), joined=True),
    ]
    places = extents(image_rows_figure(rows))
    bottoms, tops = [places[index][2] for index in (0, 4, 8)], [places[index][3] for index in (4, 8, 10)]
    gaps = [top - bottom for top, bottom in zip(tops, bottoms, strict=True)]

    assert gaps[0] == gaps[2] < gaps[1]
    assert gaps[0] == places[1][0] - places[0][1]  # as far as images side by side
    assert [place[0] for place in places] == [place[0] for place in places[:4]] * 2 + [
        place[0] for place in places[:2]
    ] * 2


def test_names_notes_and_captions_stand_at_their_images(texts_of: Callable) -> None:
    rows = [
        ImageRow(images(3), name="z7", note="KL 4.1"),
        ImageRow(images(3), name="z2", captions=("left", "", "right")),
    ]
    figure = image_rows_figure(rows)
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    edges = extents(figure)

    for name, row in (("z7", edges[0]), ("KL 4.1", edges[0]), ("z2", edges[3])):
        assert places[name][0] < row[0]
        assert row[3] < places[name][1] < row[2]
    for caption, (left, right, bottom, _) in (("left", edges[3]), ("right", edges[5])):
        assert places[caption][0] == (left + right) / 2
        assert 0 < places[caption][1] - bottom < 50
    assert sorted(texts_of(figure)) == sorted(["z7", "KL 4.1", "z2", "left", "right"])


def test_framed_images_have_a_dark_ring_and_the_others_none(drawn_pixels: Callable) -> None:
    figure = image_rows_figure([ImageRow(torch.ones(3, 1, 8, 8), framed=(0, 2))])
    picture = drawn_pixels(figure)
    down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])

    for number, (left, right, bottom, top) in enumerate(np.round(extents(figure)).astype(int)):
        around = picture[top + down - 8 : bottom + down + 8, left - 8 : right + 8]
        assert ((around == (0x1F, 0x23, 0x28)).all(axis=-1).sum() > 2000) == (number != 1)


def test_captions_that_are_long_or_look_like_mathematics_do_not_touch(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    rows = [
        ImageRow(
            images(9),
            name="a name far too long for the margin",
            note="and a note that is so",
            captions=["a long one"] * 9,
        ),
        ImageRow(images(9), name="$_{", captions=["$\\nons{$", *[""] * 7, "the end is a long one"]),
    ]
    figure = image_rows_figure(rows)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert {"$_{", "$\\nons{$"} < set(texts_of(figure))


def naive_grid(images: Tensor, reconstructions: Tensor, columns: int, factor: int) -> Tensor:
    """The same picture drawn one square at a time: gaps of 4, and of 16 between rows of pairs."""
    count, channels, height, width = images.shape
    columns = min(columns, count)
    rows = (count + columns - 1) // columns
    high, wide = height * factor, width * factor
    grid = torch.full((3, 4 + rows * (2 * high + 4) + (rows - 1) * 16 + 4, 4 + columns * (wide + 4)), 255)
    for index in range(count):
        top, left = 4 + index // columns * (2 * high + 20), 4 + index % columns * (wide + 4)
        for batch, offset in ((images, top), (reconstructions, top + high + 4)):
            for y, x, channel in itertools.product(range(height), range(width), range(3)):
                value = batch[index, channel % channels, y, x].item()
                square = grid[channel, offset + y * factor :, left + x * factor :][:factor, :factor]
                square.fill_(round(255 * min(1, max(0, value))))
    return grid.to(torch.uint8)


@pytest.mark.parametrize(
    ("shape", "factor"),
    [((3, 1, 24, 16), 4), ((17, 3, 8, 8), 12), ((1, 1, 97, 5), 1), ((8, 3, 8, 12), 8)],
)
def test_originals_stand_above_their_reconstructions(shape: tuple[int, ...], factor: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=generator)
    reconstructions = torch.rand(shape, generator=generator) * 1.4 - 0.2

    grid = reconstruction_grid(images, reconstructions)

    assert grid.dtype == torch.uint8
    assert torch.equal(grid, naive_grid(images, reconstructions, 8, factor))


@pytest.mark.parametrize(("side", "enlarged"), [(8, 96), (28, 84), (32, 96), (64, 64), (200, 200)])
def test_small_images_are_made_large_enough_to_see(side: int, enlarged: int) -> None:
    images = torch.zeros(1, 1, side, side)

    assert reconstruction_grid(images, images).shape == (3, 2 * enlarged + 12, enlarged + 8)


def test_reconstructions_with_gradients_and_in_half_precision_are_drawn_unchanged() -> None:
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    before = images.detach().clone()

    grid = reconstruction_grid(images, images.bfloat16())

    assert not grid.requires_grad
    assert torch.equal(images.detach(), before)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_images_of_any_number_of_channels_are_drawn(channels: int) -> None:
    images = torch.rand(3, channels, 8, 8)
    grid = reconstruction_grid(images, images)
    assert grid.shape[0] == 3
    if channels > 3:
        assert torch.equal(grid, reconstruction_grid(images[:, :3], images[:, :3]))
    image_rows_figure([ImageRow(images, name="images")]).canvas.draw()
