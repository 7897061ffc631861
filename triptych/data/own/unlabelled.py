"""Images without labels from any source, preprocessed as in training; without PyTorch."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.data.own.walk import find_images
from triptych.data.pixels.opening import UndecodableImage
from triptych.data.pixels.preprocessing import AnyImage, Known, Preprocessing, is_tensor
from triptych.errors import DataError

# B batch, C channels, H/W image.

Images: TypeAlias = AnyImage | Iterable[AnyImage]
"""One image, a folder, an array (N, H, W, C), a tensor (N, C, H, W), or any iterable of these."""

THREADS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Number of threads that decode while the model computes."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batch(NamedTuple):
    """Preprocessed images for a model."""

    pixels: NDArray[np.float32]
    """(B, C, H, W), in [0, 1]."""
    paths: list[Path | None]
    """(B,): their files; None for an image without a file."""


def image_batches(images: Images, preprocessing: Preprocessing, *, size: int) -> Iterator[Batch]:
    """Preprocess images in order, `size` at a time; threads decode the next batch while the caller uses this one.

    Raises:
        UndecodableImage: One of them is not an image, is truncated, or has invalid values.
        DataError: A folder has no images, or cannot be read.
        TypeError: Something is neither an image nor a collection of images.

    Example:
        >>> form = Preprocessing(shape=(1, 8, 8), fit="letterbox", pad=0)
        >>> [batch.pixels.shape for batch in image_batches([Image.new("RGB", (40, 30))] * 3, form, size=2)]
        [(2, 1, 8, 8), (1, 1, 8, 8)]
    """
    known = ((number, _known(image, number, preprocessing)) for number, image in enumerate(flattened(images)))

    def prepared(item: tuple[int, Known]) -> tuple[NDArray[np.float32], Path | None]:
        number, image = item
        return _prepared(image, number, preprocessing), image if isinstance(image, Path) else None

    for batch in prefetched(known, prepared, size=size):
        yield Batch(np.stack([pixels for pixels, _ in batch]), [path for _, path in batch])


def prefetched(items: Iterable[Item], prepare: Callable[[Item], Result], *, size: int) -> Iterator[list[Result]]:
    """Apply a function to items in order, `size` at a time; threads work one batch ahead of the caller.

    Example:
        >>> list(prefetched("abc", str.upper, size=2))
        [['A', 'B'], ['C']]
    """
    remaining = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(prepare, item) for item in islice(remaining, size)]
        while waiting:
            ahead = [pool.submit(prepare, item) for item in islice(remaining, size)]
            yield [one.result() for one in waiting]
            waiting = ahead


def require_batch_size(size: int) -> None:
    """Check a batch size.

    Raises:
        ValueError: It is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, but it is {size}; 128 suits most models")


def flattened(images: Images) -> Iterator[AnyImage]:
    """Yield images one by one: the files of folders, the rows of batches; raises as `listed`."""
    for image in listed(images):
        if _is_one(image):
            yield image
        else:
            yield from flattened(image)


def listed(images: Images) -> Iterable[AnyImage]:
    """Return an iterable: the files of a folder, the rows of a batch, a list of one image, or the collection itself.

    Raises:
        DataError: A folder has no images, or cannot be read.
        TypeError: It is neither an image nor a collection of images.
    """
    if _is_one(images):
        return [images]  # type: ignore[list-item] # it is an image
    if isinstance(images, str | Path):
        return image_files(Path(images).expanduser())
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return images  # type: ignore[return-value] # neither bytes nor one tensor: those are one image
    raise TypeError(
        "images must be paths, a folder, encoded bytes, images of Pillow, arrays or tensors, but got "
        f"{type(images).__name__}"
    )


def image_files(folder: Path) -> list[Path]:
    """List the image files in a folder and its sub-folders, in natural order.

    Raises:
        DataError: There are no images, or a folder cannot be read.
    """
    (names,) = find_images(folder, [""]).images
    if not names:
        raise DataError(f"{folder}: expected a folder of images, but it contains none.")
    return [folder / name for name in names]


def _is_one(images: Images) -> bool:
    """Return whether this is one image, not a folder, a batch or a collection."""
    if isinstance(images, str | Path):
        return not Path(images).expanduser().is_dir()
    if is_tensor(images) or (isinstance(images, np.ndarray) and images.dtype.kind not in "OSU"):
        return images.ndim != 4
    return isinstance(images, bytes | Image.Image)


def _known(image: AnyImage, number: int, preprocessing: Preprocessing) -> Known:
    try:
        return preprocessing.known(image)
    except UndecodableImage as error:
        raise UndecodableImage(error.reason, f"image {number}") from error


def _prepared(image: Known, number: int, preprocessing: Preprocessing) -> NDArray[np.float32]:
    try:
        return preprocessing.prepare(image)
    except UndecodableImage as error:
        raise UndecodableImage(error.reason, str(image) if isinstance(image, Path) else f"image {number}") from error
