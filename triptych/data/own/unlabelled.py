"""Images without labels, from wherever they come, prepared as a run prepares its own; for what a trained model does."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from triptych.data.own.walk import find_images
from triptych.data.pixels.entries import Form
from triptych.data.pixels.opening import Picture, UndecodableImage
from triptych.data.pixels.resizing import decode_and_fit
from triptych.errors import DataError

AnyImage: TypeAlias = str | Path | bytes | Image.Image | np.ndarray | Tensor
"""A file, encoded bytes, an image of Pillow, an array (H, W) or (H, W, C), or a tensor (C, H, W) or (H, W)."""

ROUNDING = 1e-3
"""How far beyond [0, 1] values may lie, as resampling leaves them."""


class UnlabelledImages:
    """Images that are decoded when they are asked for, at the size and channels that a model wants.

    They can be indexed and measured like the images of a `Split`: `images[:64]` is uint8 (64, C, H, W).

    Args:
        images: One image or many, each a path, encoded bytes, an image of Pillow, an array or a tensor; a folder, of
            which all images are taken, in natural order, in the folders within it too; or a batch, as an array
            (N, H, W, C) or a tensor (N, C, H, W). Arrays and tensors are uint8, or floating-point numbers in [0, 1];
            an array (H, W) may be uint16 too.
        form: Size, channels and fit.
        padding: Black pixels added on every side.
        threads: That decode at a time.

    Attributes:
        paths: The images' files, (N,); None for an image that did not come from a file.
        names: What messages call them, (N,): the path, or "image 3", counted from 0.

    Raises:
        DataError: A folder has no images, or cannot be read.
        TypeError: Something is none of these.

    Example:
        >>> images = UnlabelledImages(Image.new("RGB", (40, 30)), Form((1, 8, 8), "letterbox"))
        >>> len(images), images[:].shape, images.names
        (1, torch.Size([1, 1, 8, 8]), ('image 0',))
    """

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(
        self, images: AnyImage | Iterable[AnyImage], form: Form, *, padding: int = 0, threads: int = 1
    ) -> None:
        self._images = _listed(images)
        self._form = form
        self._padding = padding
        self._threads = threads
        self.paths = tuple(image if isinstance(image, Path) else None for image in self._images)
        self.names = tuple(f"image {n}" if path is None else str(path) for n, path in enumerate(self.paths))

    @property
    def shape(self) -> torch.Size:
        """(N, C, H, W), with the borders."""
        channels, *sides = self._form.shape
        return torch.Size([len(self), channels, *(side + 2 * self._padding for side in sides)])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Tensor:
        """Decode images, (n, C, H, W) uint8, or for a number one of them, (C, H, W).

        Raises:
            UndecodableImage: One of them is not an image, or not a whole one; its name is in the message.
        """
        places = torch.arange(len(self))[index]
        if not places.ndim:
            return self[[int(places)]][0]
        if not len(places):
            return torch.zeros(0, *self.shape[1:], dtype=torch.uint8)
        with ThreadPoolExecutor(max(1, self._threads)) as pool:
            pixels = torch.from_numpy(np.stack(list(pool.map(self._decoded, places.tolist())))).permute(0, 3, 1, 2)
        return F.pad(pixels, [self._padding] * 4).contiguous()

    def _decoded(self, place: int) -> np.ndarray:
        channels, height, width = self._form.shape
        try:
            picture = _picture(self._images[place])
            return decode_and_fit(picture, size=(height, width), how=self._form.fit, channels=channels)
        except UndecodableImage as error:
            raise UndecodableImage(error.reason, self.names[place]) from error


def _listed(images: AnyImage | Iterable[AnyImage]) -> list[Path | bytes | Image.Image | np.ndarray | Tensor]:
    """Bring one image, a folder, a batch or many of them to one list; nothing is decoded."""
    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        return [*_images_in(path)] if path.is_dir() else [path]
    if isinstance(images, np.ndarray | Tensor):
        if isinstance(images, np.ndarray) and images.dtype.kind in "OSU":  # paths
            return _listed(images.ravel().tolist())
        if images.ndim not in (2, 3, 4):
            raise TypeError(
                "images must be one of shape (H, W), an array of (H, W, C) or a tensor of (C, H, W), or a batch of "
                f"them, but got shape {tuple(images.shape)}"
            )
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, bytes | Image.Image):
        return [images]
    if isinstance(images, Iterable):
        return [one for image in images for one in _listed(image)]
    raise TypeError(
        "images must be paths, a folder, encoded bytes, images of Pillow, arrays or tensors, but got "
        f"{type(images).__name__}"
    )


def _images_in(folder: Path) -> list[Path]:
    (names,) = find_images(folder, [""]).images
    if not names:
        raise DataError(f"{folder}: expected a folder of images, but it contains none.")
    return [folder / name for name in names]


def _picture(image: Path | bytes | Image.Image | np.ndarray | Tensor) -> Picture:
    """Turn an array or a tensor of any kind into uint8 (H, W, C)."""
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        image = image.float() if image.is_floating_point() else image  # NumPy has no bfloat16
        image = (image.permute(1, 2, 0) if image.ndim == 3 else image).numpy()
    if not isinstance(image, np.ndarray) or image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * 255
    if image.dtype == np.uint16 and image.ndim == 2:
        return Image.fromarray(image)
    if image.dtype.kind != "f":
        raise UndecodableImage(f"holds {image.dtype}, where uint8, or floating-point numbers in [0, 1], are expected")
    low, high = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # true of NaN too
        raise UndecodableImage(f"has values from {low:g} to {high:g}, where 0 to 1 is expected; scale the images")
    levels: np.ndarray = np.rint(np.clip(image, 0, 1) * 255)
    return levels.astype(np.uint8)
