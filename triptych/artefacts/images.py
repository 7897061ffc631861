"""Images as users have them (files, folders, PIL images, arrays, tensors) become batches that a model takes."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.artefacts.preprocessing import Checked, ImageLike, Preprocessing, is_tensor
from triptych.data.pixels.opening import EXTENSIONS, UndecodableImage
from triptych.errors import DataError

# B batch, C channels, H/W image.

Images: TypeAlias = ImageLike | Iterable[ImageLike]
"""One image, a folder, an array (N, H, W, C), a tensor (N, C, H, W), or any iterable of these."""

THREADS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Threads that decode while the model computes."""


class Batch(NamedTuple):
    """Images that are ready for a model."""

    pixels: NDArray[np.float32]
    """(B, C, H, W), in [0, 1]."""
    paths: list[Path | None]
    """(B,): their files; None for an image that came without one."""


def image_batches(images: Images, preprocessing: Preprocessing, *, size: int) -> Iterator[Batch]:
    """Prepare images in order, `size` at a time; threads decode the next batch while the caller works on this one.

    Raises:
        DataError: An image cannot be decoded, or a folder holds none.
        ValueError, TypeError: Something that is no image; the message names its position.
    """
    numbered = enumerate(flattened(images))
    waiting = deque[list[tuple[Path | None, Future[NDArray[np.float32]]]]]()
    with ThreadPoolExecutor(THREADS) as pool:

        def begun(number: int, image: ImageLike) -> tuple[Path | None, Future[NDArray[np.float32]]]:
            checked = _checked(number, image, preprocessing)
            path = checked if isinstance(checked, Path) else None
            return path, pool.submit(_prepared, number, checked, preprocessing)

        while True:
            if begun_batch := [begun(number, image) for number, image in islice(numbered, size)]:
                waiting.append(begun_batch)
            if not waiting:
                return
            if len(waiting) > 1 or not begun_batch:
                batch = waiting.popleft()
                yield Batch(np.stack([pixels.result() for _, pixels in batch]), [path for path, _ in batch])


def require_batch_size(size: int) -> None:
    """Check a batch size.

    Raises:
        ValueError: It is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, but it is {size}; 128 suits most models")


def flattened(images: Images) -> Iterator[ImageLike]:
    """Yield images one by one: folders as the files in them, batches as their rows; raises as `listed`."""
    for image in listed(images):
        if _is_one(image):
            yield image
        else:
            yield from flattened(image)


def listed(images: Images) -> Iterable[ImageLike]:
    """Return what can be iterated over: the files of a folder, the rows of a batch, one image alone, or many as given.

    Raises:
        DataError: A folder holds no images.
        TypeError: Something that is no image.
    """
    if _is_one(images):
        return [images]  # type: ignore[list-item] # it is one
    if isinstance(images, str | Path):
        return image_files(Path(images).expanduser())
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return images  # type: ignore[return-value] # neither bytes nor one tensor: those are one image
    raise TypeError(
        "expected images as paths, a folder, bytes, PIL images, uint8 arrays (H, W, C) or tensors (C, H, W), got "
        f"{type(images).__name__}"
    )


def image_files(folder: Path) -> list[Path]:
    """List the image files in a folder and in those below it, by path; hidden ones are left out, links are followed.

    Raises:
        DataError: There are none, or a folder may not be read.
    """

    def unreadable(error: OSError) -> None:
        raise DataError(f"{error.filename}: expected a folder that can be read; got: {error.strerror}.") from error

    found, entered = list[Path](), set[str]()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if (real := os.path.realpath(place)) in entered:  # links can lead in circles
            folders.clear()
            continue
        entered.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name) for name in names if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS
        ]
    if not found:
        raise DataError(f"{folder}: expected image files ({', '.join(sorted(EXTENSIONS))}) in the folder, found none.")
    return sorted(found)


def _is_one(images: Images) -> bool:
    """Tell one image from a folder, a batch or a collection."""
    if isinstance(images, str | Path):
        return not Path(images).expanduser().is_dir()
    if is_tensor(images) or (isinstance(images, np.ndarray) and images.dtype.kind not in "OSU"):
        return images.ndim != 4
    return isinstance(images, bytes | Image.Image)


def _checked(number: int, image: ImageLike, preprocessing: Preprocessing) -> Checked:
    try:
        return preprocessing.checked(image)
    except (TypeError, ValueError) as error:
        raise type(error)(f"image {number}: {error}") from error
    except UndecodableImage as error:
        raise UndecodableImage(error.reason, f"Image {number}") from error


def _prepared(number: int, image: Checked, preprocessing: Preprocessing) -> NDArray[np.float32]:
    try:
        return preprocessing.prepare(image)
    except UndecodableImage as error:
        name = error.name if isinstance(image, Path) else f"Image {number}"
        raise UndecodableImage(error.reason, name) from error
