"""Geometric augmentation: 3x3 homographies of image content, and the resampling that applies them.

Coordinates are pixels from the image's centre, x to the right and y down, so that rotations stay rotations in images
that are not square. B images, H x W pixels. All arithmetic is element-wise, without matrix products: their rounding
depends on the batch size, and the result for an image must not depend on its batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def mirror(mirrored: Tensor) -> Tensor:
    """Return horizontal flips where `mirrored` (B,) is true: (B, 3, 3)."""
    return _matrix(1.0 - 2.0 * mirrored.float(), 0, 0, 0, 1, 0, 0, 0, 1)


def rotation(degrees: Tensor) -> Tensor:
    """Return rotations about the centre by (B,) degrees, clockwise in the image: (B, 3, 3)."""
    angle = degrees * (math.pi / 180)
    cosine, sine = angle.cos(), angle.sin()
    return _matrix(cosine, -sine, 0, sine, cosine, 0, 0, 0, 1)


def scaling(factor: Tensor) -> Tensor:
    """Return scalings about the centre by (B,) factors: (B, 3, 3)."""
    return _matrix(factor, 0, 0, 0, factor, 0, 0, 0, 1)


def shear(degrees: Tensor) -> Tensor:
    """Return horizontal shears that tilt vertical lines by (B,) degrees: (B, 3, 3)."""
    return _matrix(1, torch.tan(degrees * (math.pi / 180)), 0, 0, 1, 0, 0, 0, 1)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Return translations by (B,) pixels to the right and (B,) pixels down: (B, 3, 3)."""
    return _matrix(1, 0, x, 0, 1, y, 0, 0, 1)


def perspective(inwards: Tensor, *, height: int, width: int) -> Tensor:
    """Return the homographies that move an image's four corners inwards.

    From the unit square to a quadrilateral in closed form: Heckbert, "Fundamentals of texture mapping and image
    warping", 1989, section 2.2.3.

    Args:
        inwards: (B, 4, 2), shift of each corner along x and y, as fractions of the sides, in the order upper left,
            upper right, lower right, lower left. If x + y is below half a side, the quadrilateral stays convex.
        height: The image's height in pixels.
        width: Its width.

    Returns:
        (B, 3, 3).
    """
    corners = inwards.new_tensor([[0, 0], [1, 0], [1, 1], [0, 1]])
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        corner.unbind(-1) for corner in (corners + inwards * (1 - 2 * corners)).unbind(1)
    )
    excess_x, excess_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3  # zero for parallelograms
    area = (x1 - x2) * (y3 - y2) - (x3 - x2) * (y1 - y2)
    g = (excess_x * (y3 - y2) - excess_y * (x3 - x2)) / area
    h = ((x1 - x2) * excess_y - (y1 - y2) * excess_x) / area
    distortion = _matrix(x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, 1)
    one = torch.ones_like(g)
    to_unit_square = _matrix(one / width, 0, 0.5, 0, 1 / height, 0.5, 0, 0, 1)
    to_pixels = _matrix(one * width, 0, -width / 2, 0, height, -height / 2, 0, 0, 1)
    return compose(to_unit_square, distortion, to_pixels)


def compose(first: Tensor, *then: Tensor) -> Tensor:
    """Compose several homographies in the order of their application; all (B, 3, 3).

    Example:
        >>> shift, turn = translation(torch.ones(1), torch.zeros(1)), rotation(torch.tensor([90.0]))
        >>> compose(shift, turn)[0, :2, 2].round().tolist()  # right by one, then clockwise: down by one
        [-0.0, 1.0]
    """
    motion = first
    for following in then:
        motion = (
            following[:, :, 0:1] * motion[:, 0:1]
            + following[:, :, 1:2] * motion[:, 1:2]
            + following[:, :, 2:3] * motion[:, 2:3]
        )
    return motion


def warp(images: Tensor, motion: Tensor) -> Tensor:
    """Transform each image by its homography, in one bilinear resampling.

    Points outside the image take the value of the nearest border pixel.

    Args:
        images: (B, C, H, W) float32.
        motion: (B, 3, 3) float32, invertible, of any scale.

    Returns:
        (B, C, H, W) float32.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) + (0.5 - width / 2)
    y = torch.arange(height, device=images.device) + (0.5 - height / 2)
    source = _inverse(motion)[..., None, None]  # source position of each output pixel
    points = source[:, :, 0] * x + (source[:, :, 1] * y[:, None] + source[:, :, 2])  # homogeneous: (B, 3, H, W)
    grid = points[:, :2].div_(points[:, 2:]).mul_(points.new_tensor([2 / width, 2 / height])[:, None, None])
    # A perspective's horizon is infinite, or 0 / 0: 3 is finite, and outside the image, which spans -1 to 1.
    grid = grid.nan_to_num_(nan=3.0).clamp_(-3, 3).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _inverse(matrices: Tensor) -> Tensor:
    """Return inverses up to a factor, which a homography ignores: the adjugates, by cross products of the rows."""
    first, second, third = matrices.unbind(1)
    columns = (
        torch.linalg.cross(second, third),
        torch.linalg.cross(third, first),
        torch.linalg.cross(first, second),
    )
    return torch.stack(columns, dim=-1)


def _matrix(*entries: Tensor | float) -> Tensor:
    """Build matrices from nine entries, row by row, each (B,) or one number for all images: (B, 3, 3)."""
    like = next(entry for entry in entries if isinstance(entry, Tensor))
    filled = [entry if isinstance(entry, Tensor) else torch.full_like(like, entry) for entry in entries]
    return torch.stack(filled, dim=-1).reshape(-1, 3, 3)
