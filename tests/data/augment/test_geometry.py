"""Homographies and the resampling: exact where pixels meet pixels, and naive loops elsewhere."""

import math

import pytest
import torch

from triptych.data.augment import geometry


def images_of(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def number(value):
    return torch.tensor([float(value)])


def warp_in_plain_loops(image, motion):
    """Bilinear interpolation of (H, W) at the preimage of every pixel's centre; the border is repeated outside."""
    height, width = image.shape
    inverse = torch.linalg.inv(motion.double())
    result = torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            point = inverse @ torch.tensor([column + 0.5 - width / 2, row + 0.5 - height / 2, 1.0]).double()
            x = (point[0] / point[2]).item() + width / 2 - 0.5
            y = (point[1] / point[2]).item() + height / 2 - 0.5
            left, top = math.floor(x), math.floor(y)
            for source_row in (top, top + 1):
                for source_column in (left, left + 1):
                    weight = (1 - abs(x - source_column)) * (1 - abs(y - source_row))
                    inside = min(max(source_row, 0), height - 1), min(max(source_column, 0), width - 1)
                    result[row, column] += weight * image[inside].item()
    return result


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (5, 9), (224, 224)])
def test_a_mirror_is_the_exact_flip_of_the_chosen_images(size):
    images = images_of(2, 3, *size)
    result = geometry.warp(images, geometry.mirror(torch.tensor([True, False])))
    tolerance = 1e-4 if size[0] > 99 else 1e-5  # float32 places a pixel to within 1e-7 of the side
    torch.testing.assert_close(result[0], images[0].flip(-1), atol=tolerance, rtol=0)
    torch.testing.assert_close(result[1], images[1], atol=tolerance, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact_and_clockwise(turns):
    images = images_of(1, 1, 28, 28)
    result = geometry.warp(images, geometry.rotation(number(90 * turns)))
    torch.testing.assert_close(result, images.rot90(-turns, dims=(2, 3)), atol=1e-5, rtol=0)


def test_a_shift_of_whole_pixels_is_exact_and_repeats_the_border():
    images = images_of(1, 1, 6, 10)
    result = geometry.warp(images, geometry.translation(number(3), number(-2)))
    expected = torch.nn.functional.pad(images, (3, 0, 0, 2), mode="replicate")[..., 2:, :10]
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_enlarging_by_two_shows_the_middle_half():
    # A linear ramp is kept by bilinear interpolation: at twice the size it climbs half as fast about the centre.
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    result = geometry.warp(ramp, geometry.scaling(number(2)))
    torch.testing.assert_close(result, 0.5 + (ramp - 0.5) / 2, atol=1e-6, rtol=0)


def test_a_shear_leans_vertical_lines_by_its_angle():
    foot = geometry.shear(number(30))[0] @ torch.tensor([0.0, 10.0, 1.0])
    assert foot.tolist() == pytest.approx([10 * math.tan(math.radians(30)), 10.0, 1.0], rel=1e-6)


def test_a_rotation_keeps_lengths_where_the_image_is_not_square():
    images = torch.zeros(1, 1, 5, 11)
    images[0, 0, 2, 7] = 1.0  # two pixels to the right of the centre
    result = geometry.warp(images, geometry.rotation(number(90)))
    assert result[0, 0, 4, 5].item() == pytest.approx(1.0, abs=1e-5)  # two pixels below it
    assert result.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_perspective_moves_the_corners_to_the_given_places():
    inwards = images_of(5, 4, 2) * 0.3
    height, width = 12, 20
    motions = geometry.perspective(inwards, height=height, width=width)
    sides = torch.tensor([width, height])
    for motion, shifts in zip(motions, inwards, strict=True):
        for (x, y), shift in zip([(-1, -1), (1, -1), (1, 1), (-1, 1)], shifts, strict=True):
            corner = torch.tensor([x * width / 2, y * height / 2, 1.0])
            moved = motion @ corner
            expected = corner[:2] - torch.tensor([x, y]) * shift * sides
            torch.testing.assert_close(moved[:2] / moved[2], expected, atol=1e-4, rtol=1e-4)


def test_compose_is_the_matrix_product_in_the_order_of_events():
    first, second, third = images_of(3, 4, 3, 3)
    torch.testing.assert_close(geometry.compose(first, second, third), third @ second @ first)


def test_warp_is_bilinear_interpolation_at_the_preimage():
    images = images_of(6, 2, 5, 7)
    motion = geometry.compose(
        geometry.mirror(torch.tensor([True, False] * 3)),
        geometry.perspective(images_of(6, 4, 2, seed=1) * 0.25, height=5, width=7),
        geometry.scaling(torch.linspace(0.6, 1.5, 6)),
        geometry.shear(torch.linspace(-20, 30, 6)),
        geometry.rotation(torch.linspace(-180, 100, 6)),
        geometry.translation(torch.linspace(-2, 2, 6), torch.linspace(1, -1.5, 6)),
    )
    result = geometry.warp(images, motion)
    for index in range(6):
        for channel in range(2):
            expected = warp_in_plain_loops(images[index, channel], motion[index])
            torch.testing.assert_close(result[index, channel], expected, atol=1e-4, rtol=0)


def test_warp_does_not_feel_the_scale_of_a_homography():
    images = images_of(1, 1, 6, 6)
    motion = geometry.perspective(torch.full((1, 4, 2), 0.1) * torch.arange(4)[:, None] / 4, height=6, width=6)
    torch.testing.assert_close(geometry.warp(images, -7 * motion), geometry.warp(images, motion))


def test_pixels_on_the_horizon_are_finite_and_lie_within_the_range_of_the_image():
    # The inverse takes (x, y) to (x + 2, y + 0.5) / (x + 0.5): 1.5 / 0 in one column of pixels, and 0 / 0 for its y.
    motion = torch.tensor([[[0.5, 0.0, -2.0], [0.5, -1.5, -0.5], [-1.0, 0.0, 1.0]]])
    images = images_of(1, 1, 4, 4)
    result = geometry.warp(images, motion)
    assert result.min() >= images.min() - 1e-6
    assert result.max() <= images.max() + 1e-6
