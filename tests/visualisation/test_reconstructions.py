"""The grid of reconstructions: every original above its own reconstruction, pixel by pixel."""

import itertools

import pytest
import torch
from torch import Tensor

from triptych.visualisation.reconstructions import reconstruction_grid


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
    ("shape", "columns", "factor"),
    [((3, 1, 24, 16), 2, 4), ((4, 3, 8, 8), 2, 12), ((1, 1, 97, 5), 8, 1), ((5, 3, 8, 12), 5, 8)],
)
def test_originals_stand_above_their_reconstructions(shape: tuple[int, ...], columns: int, factor: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=generator)
    reconstructions = torch.rand(shape, generator=generator) * 1.4 - 0.2

    grid = reconstruction_grid(images, reconstructions, columns=columns)

    assert grid.dtype == torch.uint8
    assert torch.equal(grid, naive_grid(images, reconstructions, columns, factor))


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


def test_arguments_that_do_not_fit_are_refused() -> None:
    images = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"^reconstructions must have the shape of images"):
        reconstruction_grid(images, images[:1])
    with pytest.raises(ValueError, match=r"^images must be a batch of grey or RGB images"):
        reconstruction_grid(images[0], images)
    with pytest.raises(ValueError, match=r"^columns must be at least 1, but it is 0; give"):
        reconstruction_grid(images, images, columns=0)
