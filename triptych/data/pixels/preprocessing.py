"""Preprocesses an image of any kind to the input of a model, as in training; without PyTorch.

Letters: C channels, H/W image.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.data.pixels.decoding import largest_value
from triptych.data.pixels.opening import MAX_PIXELS, UndecodableImage
from triptych.data.pixels.resizing import Fit, decode_and_fit
from triptych.errors import ImageWarning

if TYPE_CHECKING:
    from torch import Tensor

AnyImage: TypeAlias = Union[str, Path, bytes, Image.Image, NDArray[Any], "Tensor"]
"""A file, encoded bytes, a Pillow image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W)."""

Known: TypeAlias = Path | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.float32]
"""An image of a normalised kind: uint8 arrays are (H, W) or (H, W, C), float32 arrays (C, H, W) of the model's size."""

ROUNDING = 1e-3
"""Tolerance outside [0, 1] for floating-point pixels, for example after resampling."""

DARK = 64
"""Maximum brightness, of 255, of a 14-bit image if 65,535 is white."""


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a run's images.

    Attributes:
        shape: Channels, height and width of every image after resizing.
        fit: Method to fit images with another aspect ratio.
        pad: Number of black pixels that are then added on every side.
        white: The 16-bit value that maps to white.
        background: The colour behind transparent pixels.
    """

    shape: tuple[int, int, int]
    fit: Fit
    pad: int
    white: int = 65535
    background: tuple[int, int, int] = (255, 255, 255)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's input, including padding."""
        channels, height, width = self.shape
        return channels, height + 2 * self.pad, width + 2 * self.pad

    def known(self, image: AnyImage) -> Known:
        """Normalise the kind of an image; files and bytes are not decoded yet.

        Arrays and tensors contain uint8, booleans, or floating-point pixels in [0, 1]; an array (H, W) can be uint16.
        Floating-point pixels with the size of the model's input, with or without its padding, keep their precision;
        others are rounded to 8 bits, like files.

        Raises:
            UndecodableImage: Its values have another type or range, or Pillow cannot decode it.
            TypeError: It is none of these.
        """
        if isinstance(image, str):
            return Path(image).expanduser()
        if isinstance(image, Image.Image):
            _load(image)
        if isinstance(image, Path | bytes | Image.Image):
            return image
        if is_tensor(image):
            pixels = image.detach().cpu()
            array = (pixels.float() if pixels.is_floating_point() else pixels).numpy()  # NumPy has no bfloat16
            return self._known_array(array.transpose(1, 2, 0) if array.ndim == 3 else array)
        if isinstance(image, np.ndarray):
            return self._known_array(image)
        raise TypeError(
            "images must be paths, a folder, encoded bytes, images of Pillow, arrays or tensors, but got "
            f"{type(image).__name__}"
        )

    def prepare(self, image: Known, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
        """Convert one image to the model's input, (C, H, W) with pixels in [0, 1].

        Warns about dark 16-bit images: 12-bit cameras write such files, and the preprocessing of a model that was
        trained on 8-bit images does not have their white level.

        Args:
            image: The image.
            max_pixels: Images with more pixels (height times width) are not decoded.

        Raises:
            TooManyPixels: The image is larger.
            UndecodableImage: It is not an image, or has other channels than the model.
        """
        if isinstance(image, np.ndarray) and image.dtype == np.float32:
            pixels = image.astype(np.float32)
        else:
            channels, height, width = self.shape
            decoded = decode_and_fit(
                image,
                size=(height, width),
                how=self.fit,
                channels=channels,
                white=self.white,
                background=self.background,
                max_pixels=max_pixels,
            )
            if decoded.max(initial=0) <= DARK and largest_value(image, max_pixels=max_pixels):
                self._warn_of_darkness()
            pixels = decoded.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        if pixels.shape == self.input_shape:
            return pixels
        return np.pad(pixels, ((0, 0), (self.pad, self.pad), (self.pad, self.pad)))

    def without_padding(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Remove the padding from images (B, C, H, W)."""
        _, height, width = self.input_shape
        return pixels[:, :, self.pad : height - self.pad, self.pad : width - self.pad]

    def _warn_of_darkness(self) -> None:
        """Warn once: Python suppresses repeated identical warnings."""
        warnings.warn(
            f"Some images of 16 bits are dark: the model's white is {self.white:,}, as in training "
            "(dataset.white_level). Where theirs is another, such as 4,095 of a camera of 12 bits, scale them before.",
            ImageWarning,
            stacklevel=2,
        )

    def _known_array(self, pixels: NDArray[Any]) -> Known:
        """Bring an array (H, W) or (H, W, C) to a known kind."""
        if pixels.dtype == np.uint8:
            return pixels
        if pixels.dtype == bool:
            return pixels.astype(np.uint8) * np.uint8(255)
        if pixels.dtype == np.uint16 and pixels.ndim == 2:
            return Image.fromarray(pixels)
        if pixels.dtype.kind != "f":
            raise UndecodableImage(
                f"holds {pixels.dtype}, where uint8, or floating-point numbers in [0, 1], are expected"
            )
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # true of NaN too
            raise UndecodableImage(
                f"has values from {low:g} to {high:g}, where 0 to 1 is expected; divide by 255, and do not standardise"
            )
        floats: NDArray[np.float32] = np.clip(pixels, 0, 1).astype(np.float32)
        channels_first = floats[None] if floats.ndim == 2 else np.moveaxis(floats, -1, 0)
        if channels_first.shape in (self.shape, self.input_shape):
            return channels_first
        levels: NDArray[np.uint8] = np.rint(floats * 255).astype(np.uint8)
        return levels


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Detect a tensor without importing PyTorch, which may not be installed."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _load(image: Image.Image) -> None:
    """Decode an image that Pillow has only opened, because two threads must not do so at the same time."""
    try:
        image.load()
    except Exception as error:  # Pillow's readers raise any error on damaged bytes
        raise UndecodableImage(f"is damaged or cut off ({str(error) or type(error).__name__})") from error
