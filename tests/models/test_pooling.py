import pytest
import torch
import torch.nn.functional as F

from triptych.models.pooling import RegionPooling


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (2, 3), (1, 4)])
def test_a_small_grid_is_kept_token_by_token(grid):
    pooling = RegionPooling(3, grid=grid)
    tokens = torch.randn(2, grid[0] * grid[1], 3)
    assert pooling.output_dim == grid[0] * grid[1] * 3
    assert torch.equal(pooling(tokens), tokens.reshape(2, -1))


@pytest.mark.parametrize(
    ("grid", "regions"), [((8, 8), (4, 4)), ((7, 7), (4, 4)), ((14, 5), (4, 4)), ((2, 9), (2, 4)), ((24, 31), (4, 4))]
)
def test_a_larger_grid_is_averaged_by_region(grid, regions):
    pooling = RegionPooling(3, grid=grid)
    tokens = torch.randn(2, grid[0] * grid[1], 3)
    means = F.adaptive_avg_pool2d(tokens.reshape(2, *grid, 3).permute(0, 3, 1, 2), regions)
    assert pooling.output_dim == regions[0] * regions[1] * 3
    torch.testing.assert_close(pooling(tokens), means.permute(0, 2, 3, 1).reshape(2, -1))


def test_regions_of_an_even_grid_are_plain_means():
    tokens = torch.arange(64.0).reshape(1, 64, 1)
    first = torch.tensor([0.0, 1.0, 8.0, 9.0]).mean()
    torch.testing.assert_close(RegionPooling(1, grid=(8, 8))(tokens)[0, 0], first)


def test_the_average_follows_the_module_and_is_not_saved():
    pooling = RegionPooling(2, grid=(8, 8)).double()
    assert pooling(torch.randn(1, 64, 2, dtype=torch.float64)).dtype == torch.float64
    assert not pooling.state_dict()


def test_a_grid_of_ten_thousand_tokens_costs_little_memory():
    assert RegionPooling(8, grid=(96, 96)).average.shape == (16, 96 * 96)
