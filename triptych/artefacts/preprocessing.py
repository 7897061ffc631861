"""One image of any kind becomes the input of a model, by the same steps as in training.

Letters: C channels, H/W image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.resizing import Fit, decode_and_fit

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = Union[str, Path, bytes, Image.Image, NDArray[Any], "Tensor"]
"""One image: a file, its encoded bytes, a PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W)."""

Checked: TypeAlias = Path | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.float32]
"""An image of a known kind: uint8 arrays are (H, W, C), float32 arrays are (C, H, W) and have the model's size."""

ALPHA_MODES = {2: "LA", 4: "RGBA"}
"""Arrays with so many channels have an alpha channel, for a model of grey or RGB images."""


@dataclass(frozen=True)
class Preprocessing:
    """What a run does to images before the model sees them.

    Attributes:
        shape: Channels, height and width that every image is brought to.
        fit: How an image of other proportions fills height and width.
        pad: Black pixels that are then added on every side.
    """

    shape: tuple[int, int, int]
    fit: Fit
    pad: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's input, padding included."""
        channels, height, width = self.shape
        return channels, height + 2 * self.pad, width + 2 * self.pad

    def checked(self, image: ImageLike) -> Checked:
        """Tell what kind of image it is, without decoding it.

        Arrays and tensors hold uint8, or floating-point pixels in [0, 1]. Floating-point pixels that have the size of
        the model's input already, with or without padding, keep their precision; others are rounded to 8 bits, as
        files are.

        Raises:
            ValueError, TypeError: Another type, shape or range.
        """
        if isinstance(image, str):
            return Path(image).expanduser()
        if isinstance(image, Path | bytes):
            return image
        if isinstance(image, Image.Image):
            # Pillow decodes when it is first asked for pixels: in this thread, as one image may come twice.
            _load(image)
            return image
        if is_tensor(image):
            return self._array(_channels_last(image.detach().cpu().numpy()))
        if isinstance(image, np.ndarray):
            return self._array(image)
        raise TypeError(
            "expected an image as a path, bytes, a PIL image, a uint8 array (H, W, C) or a tensor (C, H, W), got "
            f"{type(image).__name__}"
        )

    def prepare(self, image: Checked) -> NDArray[np.float32]:
        """Bring one image to the model's input, (C, H, W) with pixels in [0, 1].

        Raises:
            UndecodableImage: It is no image, or has other channels than the model.
        """
        if isinstance(image, np.ndarray) and image.dtype == np.float32:
            pixels = image.astype(np.float32)
        else:
            channels, height, width = self.shape
            decoded = decode_and_fit(image, size=(height, width), how=self.fit, channels=channels)
            pixels = decoded.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        if pixels.shape == self.input_shape:
            return pixels
        return np.pad(pixels, ((0, 0), (self.pad, self.pad), (self.pad, self.pad)))

    def without_padding(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut the padding off images (B, C, H, W)."""
        _, height, width = self.input_shape
        return pixels[:, :, self.pad : height - self.pad, self.pad : width - self.pad]

    def _array(self, pixels: NDArray[Any]) -> Checked:
        """Check an array (H, W) or (H, W, C)."""
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.ndim != 3 or not pixels.size:
            raise ValueError(
                f"expected arrays of the shape (H, W) or (H, W, C), or tensors (C, H, W); got {pixels.shape}"
            )
        if pixels.dtype.kind == "f":
            pixels = _floats(pixels)
            channels, height, width = self.input_shape
            if pixels.shape in {(height, width, channels), (*self.shape[1:], channels)}:
                return np.ascontiguousarray(pixels.transpose(2, 0, 1))
            pixels = np.rint(pixels * 255).astype(np.uint8)
        if pixels.dtype != np.uint8:
            raise ValueError(
                f"expected pixels as uint8, or as floating-point numbers in [0, 1]; got {pixels.dtype}. Convert them"
            )
        mode = ALPHA_MODES.get(pixels.shape[2])
        if mode and self.shape[0] in (1, 3):
            return Image.fromarray(np.ascontiguousarray(pixels), mode)
        return pixels


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Recognise a tensor without importing PyTorch, which need not be installed."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _channels_last(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels


def _floats(pixels: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # true of NaN too
        raise ValueError(
            f"expected floating-point pixels in [0, 1], got values from {low:g} to {high:g}. Divide by 255, and do not "
            "standardise: the model does"
        )
    return pixels.astype(np.float32)


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise UndecodableImage(f"is damaged or cut off ({str(error) or type(error).__name__})") from error
