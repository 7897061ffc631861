from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.inspection.thumbnails import sprite_sheet, thumbnails


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_small_images_stay_as_they_are() -> None:
    small = images(3, 1, 8, 12)

    assert torch.equal(thumbnails(small, longest=12), small)


def test_large_images_become_the_means_of_their_pixels() -> None:
    large = images(2, 3, 8, 4)

    small = thumbnails(large, longest=4)

    assert small.shape == (2, 3, 4, 2)
    for row in range(4):
        for column in range(2):
            block = large[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].float().mean((2, 3))
            assert (small[:, :, row, column].float() - block).abs().max() <= 0.5


@pytest.mark.parametrize("count", [1, 2, 5, 9, 10])
def test_grey_images_are_laid_out_exactly_row_by_row(count: int) -> None:
    tiles = images(count, 1, 3, 5)

    sheet = sprite_sheet(tiles)

    pixels = np.asarray(Image.open(BytesIO(sheet.picture)))
    assert (sheet.mime_type, sheet.width, sheet.height) == ("image/png", 5, 3)
    assert abs(pixels.shape[1] // 5 - pixels.shape[0] // 3) <= 1
    for index in range(count):
        row, column = divmod(index, sheet.columns)
        assert np.array_equal(pixels[3 * row : 3 * row + 3, 5 * column : 5 * column + 5], tiles[index, 0].numpy())


def test_coloured_images_are_recognisable_and_take_few_bytes() -> None:
    smooth = torch.nn.functional.interpolate(images(200, 3, 4, 4).float(), size=32, mode="bilinear").byte()

    sheet = sprite_sheet(smooth)

    pixels = np.asarray(Image.open(BytesIO(sheet.picture))).astype(float)
    first = smooth[sheet.columns + 2].permute(1, 2, 0).numpy()
    assert sheet.mime_type == "image/jpeg"
    assert len(sheet.picture) < smooth.numel() / 4
    assert np.abs(pixels[32:64, 64:96] - first).mean() < 6
