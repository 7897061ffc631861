"""Random augmentation of training images on whole batches, different and reproducible for every image."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from triptych.data.augment import geometry
from triptych.data.augment.colour import recolour
from triptych.data.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Colour, then geometry, then erasing; a strength of zero disables a part.

    The geometric parts (mirror, perspective, scale, shear, rotation, translation, crop, in this order) are composed
    into one homography and applied by one bilinear resampling. Points outside the image take the colour of the nearest
    border pixel.

    Args:
        rotation: Maximum rotation in degrees, in both directions.
        translate: Maximum shift along each axis, as a fraction of the image's side.
        scale: Maximum change of size: 0.1 is a factor from 0.9 to 1.1.
        shear: Maximum shear angle of vertical lines in degrees, in both directions.
        perspective: Distortion: each corner moves inwards by at most half this fraction of the side.
        horizontal_flip: Share of the epochs in which an image is flipped, in a periodic pattern with a random phase per
            image: at 0.5 every other epoch ("alternating flip", Jordan, 2024), so that two epochs show both.
        crop_padding: Random crop from an image padded by this many pixels on each side.
        erasing: Probability that a rectangle is set to black (Zhong et al., "Random erasing data augmentation", 2020).
        erasing_area: Maximum share of the image that an erased rectangle covers.
        brightness: Maximum relative change of brightness (for three channels only, as are the next three).
        contrast: Maximum relative change of contrast.
        saturation: Maximum relative change of saturation.
        hue: Maximum rotation of the hue in both directions, as a fraction of a full turn.

    Example:
        >>> augment = Augmentation(horizontal_flip=1.0)
        >>> augment(torch.tensor([[[[0.0, 0.5, 1.0]]]]), Draws(seed=0, epoch=0, index=torch.tensor([7])))
        tensor([[[[1.0000, 0.5000, 0.0000]]]])
    """

    rotation: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    horizontal_flip: float = 0.0
    crop_padding: int = 0
    erasing: float = 0.0
    erasing_area: float = 0.2
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Augment each image by its own random numbers.

        Args:
            images: (B, C, H, W) float32 in [0, 1]; not modified.
            draws: Random numbers of the B images, on their device.

        Returns:
            (B, C, H, W) float32 in [0, 1]; `images` itself if there is nothing to do.
        """
        if images.shape[1] == 3 and (self.brightness or self.contrast or self.saturation or self.hue):
            images = recolour(
                images,
                brightness=1 + self.brightness * _either_way(draws, "brightness"),
                contrast=1 + self.contrast * _either_way(draws, "contrast"),
                saturation=1 + self.saturation * _either_way(draws, "saturation"),
                hue=self.hue * _either_way(draws, "hue"),
            )
        motion = self.motion(draws, height=images.shape[2], width=images.shape[3])
        if motion is not None:
            images = geometry.warp(images, motion).clamp_(0, 1)  # the weights of a pixel sum to 1 up to rounding
        if self.erasing and self.erasing_area:
            images = images.masked_fill(self._erased(draws, *images.shape[2:]), 0)
        return images

    def motion(self, draws: Draws, *, height: int, width: int) -> Tensor | None:
        """Return all geometric parts as one homography per image, (B, 3, 3) in pixels from the centre, or None."""
        steps: list[Tensor] = []
        if self.horizontal_flip:
            turn = _uniform(replace(draws, epoch=0), "horizontal_flip") + draws.epoch * self.horizontal_flip
            steps.append(geometry.mirror(turn % 1 < self.horizontal_flip))
        if self.perspective:
            # Uniform over the triangle x + y < 1: with x = y = 1, corners could cross the line between their
            # neighbours.
            inwards = draws.uniform("perspective", 8).reshape(-1, 4, 2)
            inwards = torch.where(inwards.sum(-1, keepdim=True) < 1, inwards, 1 - inwards)
            steps.append(geometry.perspective(inwards * (self.perspective / 2), height=height, width=width))
        if self.scale:
            steps.append(geometry.scaling(1 + self.scale * _either_way(draws, "scale")))
        if self.shear:
            steps.append(geometry.shear(self.shear * _either_way(draws, "shear")))
        if self.rotation:
            steps.append(geometry.rotation(self.rotation * _either_way(draws, "rotation")))
        if self.translate:
            x, y = _either_way(draws, "translate x"), _either_way(draws, "translate y")
            steps.append(geometry.translation(self.translate * width * x, self.translate * height * y))
        if self.crop_padding:
            x, y = (draws.integers(f"crop {axis}", 2 * self.crop_padding + 1) - self.crop_padding for axis in "xy")
            steps.append(geometry.translation(x.float(), y.float()))
        return geometry.compose(*steps) if steps else None

    def _erased(self, draws: Draws, height: int, width: int) -> Tensor:
        """Return the pixels to erase: (B, 1, H, W) bool, a rectangle in some images and nothing in the others."""
        area = _uniform(draws, "erasing area") * self.erasing_area * height * width
        aspect = 0.3 * 11 ** _uniform(draws, "erasing aspect")  # from 0.3 to 3.3, log-uniform
        rows = (area * aspect).sqrt().floor().clamp(1, height)
        columns = (area / aspect).sqrt().floor().clamp(1, width)
        chosen = _uniform(draws, "erasing") < self.erasing
        inside_rows = _between(_uniform(draws, "erasing top"), rows, height)
        inside_columns = _between(_uniform(draws, "erasing left"), columns, width)
        return chosen[:, None, None, None] & inside_rows[:, None, :, None] & inside_columns[:, None, None, :]


def _uniform(draws: Draws, name: str) -> Tensor:
    """Return one number in [0, 1) for each image: (B,)."""
    return draws.uniform(name, 1)[:, 0]


def _either_way(draws: Draws, name: str) -> Tensor:
    """Return one number in [-1, 1) for each image: (B,)."""
    return 2 * _uniform(draws, name) - 1


def _between(place: Tensor, length: Tensor, side: int) -> Tensor:
    """Return which of `side` pixels are in intervals of `length` (B,) pixels at `place` (B,) in [0, 1): (B, side)."""
    start = (place * (side - length + 1)).floor()[:, None]
    pixels = torch.arange(side, device=place.device)
    return (pixels >= start) & (pixels < start + length[:, None])
