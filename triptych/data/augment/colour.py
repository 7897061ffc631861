"""Colour jitter: changes of brightness, contrast, saturation and hue as one linear map per image."""

import math

import torch
from torch import Tensor


def recolour(images: Tensor, *, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Change hue, saturation, contrast and brightness, in this order, and clamp once at the end.

    A change of hue is a rotation of RGB space about its grey diagonal (Karras et al., "Training generative adversarial
    networks with limited data", 2020, appendix B): close to the hue of HSV, but linear. All four are then one map of a
    pixel x with grey value g(x), linear except for the image's mean grey:

        brightness * (contrast * (saturation * turned(x) + (1 - saturation) * g(x)) + (1 - contrast) * mean of g)

    Args:
        images: (B, 3, H, W) float32 in [0, 1].
        brightness: (B,) factors of all values.
        contrast: (B,) factors of the distance to the image's mean grey.
        saturation: (B,) factors of the distance to the pixel's own grey; 0 removes all colour.
        hue: (B,) rotations of the hue, as a fraction of a full turn: 1/3 maps red to green, and green to blue.

    Returns:
        (B, 3, H, W) float32 in [0, 1].
    """
    grey = images.new_tensor([0.299, 0.587, 0.114])  # luma weights of the channels: ITU-R BT.601
    means = images.mean(-1).mean(-1)  # row by row, so that rounding is the same in every batch
    mean_grey = means[:, 0] * grey[0] + means[:, 1] * grey[1] + means[:, 2] * grey[2]

    saturation = saturation[:, None, None]
    colours = (brightness * contrast)[:, None, None] * (saturation * _turn(hue) + (1 - saturation) * grey)
    # Element-wise products instead of matrix products, whose rounding depends on the batch size.
    from_red, from_green, from_blue = colours[..., None, None].unbind(2)
    red, green, blue = images[:, :, None].unbind(1)
    changed = from_red * red
    changed += from_green * green
    changed += from_blue * blue
    changed += (brightness * (1 - contrast) * mean_grey)[:, None, None, None]
    return changed.clamp_(0, 1)


def _turn(hue: Tensor) -> Tensor:
    """Return rotations of RGB space about its grey diagonal by (B,) fractions of a turn: (B, 3, 3)."""
    cosine, sine = torch.cos(2 * math.pi * hue), torch.sin(2 * math.pi * hue)
    own = (1 + 2 * cosine) / 3
    before, after = (1 - cosine) / 3 - sine / 3**0.5, (1 - cosine) / 3 + sine / 3**0.5
    return torch.stack((own, before, after, after, own, before, before, after, own), dim=-1).reshape(-1, 3, 3)
