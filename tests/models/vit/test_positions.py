import math

import pytest
import torch

from triptych.models.vit.positions import sine_cosine_positions


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 7), (14, 14), (1, 64)])
def test_every_cell_of_a_grid_has_its_own_position(grid):
    positions = sine_cosine_positions(*grid, embed_dim=16)
    assert positions.shape == (grid[0] * grid[1], 16)
    distances = torch.cdist(positions, positions) + torch.eye(len(positions))
    assert distances.min() > 1e-2


def test_the_values_are_sines_and_cosines_of_column_and_row():
    positions = sine_cosine_positions(3, 5, embed_dim=8)
    cell = positions[2 * 5 + 3]  # row 2, column 3; frequencies 1 and 1/10,000
    expected = [f(p * w) for p in (3, 2) for f in (math.sin, math.cos) for w in (1.0, 1e-4)]
    torch.testing.assert_close(cell, torch.tensor(expected))


def test_rows_and_columns_are_not_confused():
    wide = sine_cosine_positions(2, 6, embed_dim=8).reshape(2, 6, 8)
    tall = sine_cosine_positions(6, 2, embed_dim=8).reshape(6, 2, 8)
    torch.testing.assert_close(wide[..., :4], tall.transpose(0, 1)[..., 4:])


def test_nearer_cells_have_nearer_positions():
    positions = sine_cosine_positions(1, 4, embed_dim=64)
    near, far = (positions[0] - positions[1]).norm(), (positions[0] - positions[3]).norm()
    assert near < far


@pytest.mark.parametrize(("width", "suggested"), [(6, "4 or 8"), (2, "4 or 4"), (97, "96 or 100")])
def test_a_width_that_is_not_divisible_by_4_is_rejected_with_the_nearest_that_are(width, suggested):
    with pytest.raises(ValueError, match=rf"divisible by 4.*it is {width}; choose {suggested}"):
        sine_cosine_positions(2, 2, embed_dim=width)


@pytest.mark.parametrize("grid", [(96, 96), (24, 96), (2, 48)])
def test_even_in_large_grids_no_two_cells_are_alike(grid):
    positions = sine_cosine_positions(*grid, embed_dim=16)
    assert len(torch.unique(positions.round(decimals=3), dim=0)) == grid[0] * grid[1]
