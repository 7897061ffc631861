"""Opens untrusted image files and reports invalid ones with a reason in one line; for `decoding.py`.

Pillow reads the files with a few of its readers, because some others start external programs. Nothing here depends on
Pillow's process-wide settings, which any library may have changed.
"""

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from threading import Condition, Lock
from typing import BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from triptych.errors import DataError

Source = Path | bytes
"""An image's file, or its encoded bytes."""
Picture = Source | Image.Image | np.ndarray
"""An encoded image, or a decoded one: a Pillow image or an array, (H, W) or (H, W, C) uint8."""
EXTENSIONS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pbm", ".pgm", ".png"),
        *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""File extensions of images, in lower case. The format is detected from the content, not the name."""
MAX_PIXELS = 89_478_485
"""Pillow's limit for warnings about decompression bombs: a quarter of a gigabyte as RGB. It also limits the pixels that
all threads together hold at a time."""

BLOCK = 1 << 26
"""Size of Pillow's memory blocks in bytes. Its default blocks of 16 MiB stay in the heap of each thread when an image
is closed; larger ones are returned to the system."""

NOT_UTF8 = "has a name, or a folder, that is not valid UTF-8; rename it"
"""Why a file cannot be embedded or indexed: text columns of tables and databases cannot store its name."""


class UndecodableImage(DataError):  # noqa: N818  # not an "Error" by name
    """A file is not an image, truncated, or not of the required kind.

    Attributes:
        reason: The end of a sentence that begins with "The image".
        name: The file; "The image" if only its bytes were given.
    """

    def __init__(self, reason: str, name: str = "The image") -> None:
        super().__init__(reason, name)
        self.reason = reason
        self.name = name

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


class TooManyPixels(UndecodableImage):
    """An image is larger than allowed; it was not decoded."""


class UnreadableImage(UndecodableImage):
    """A transient error, not due to the content of the image, which may be readable later."""


@contextmanager
def opened(source: Picture, max_pixels: int) -> Iterator[Image.Image | np.ndarray]:
    """Open an image without decoding; any error in the block is converted to an `UndecodableImage`."""
    name = str(source) if isinstance(source, Path) else "The image"
    _enlarge_blocks()
    try:
        if isinstance(source, Image.Image):
            _check_size(*source.size, max_pixels)
            with _STRICTNESS:
                yield source.copy()
            return
        if isinstance(source, np.ndarray):
            yield _checked_array(source, max_pixels)
            return
        with _STRICTNESS, _stream(source) as stream:
            start = stream.read(16)
            stream.seek(0)
            if start.startswith(_ARRAY):
                yield _array(stream, max_pixels)
                return
            with _reader(start)(stream) as image:
                _check_size(*image.size, max_pixels)
                with _ROOM.taken(image.width * image.height):
                    try:
                        yield image
                    finally:
                        image.close()  # releases its memory
    except UndecodableImage as error:
        raise type(error)(error.reason, name) from None
    except MemoryError as error:
        raise UnreadableImage("needs more memory than there is", name) from error
    except Exception as error:  # Pillow's readers raise any error on damaged bytes
        if isinstance(error, OSError) and error.errno is not None:  # raised by the system; Pillow's own have no errno
            raise UnreadableImage(f"cannot be read ({error.strerror})", name) from error
        raise UndecodableImage(f"is damaged or cut off ({str(error) or type(error).__name__})", name) from error


_READERS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (rb"(?s)RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    (rb"BM", BmpImagePlugin.BmpImageFile),
    (rb"II[*+]\0|MM\0[*+]", TiffImagePlugin.TiffImageFile),
    (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    (rb"P[1-6]\s", PpmImagePlugin.PpmImageFile),
)
"""Magic bytes of files and their readers, called directly, which bypasses Pillow's global pixel limit."""
_ARRAY = b"\x93NUMPY"


def _reader(start: bytes) -> type[ImageFile.ImageFile]:
    """Choose the reader by a file's first bytes."""
    if found := next((reader for pattern, reader in _READERS if re.match(pattern, start)), None):
        return found
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in (b"avif", b"avis"):
        try:
            from PIL import AvifImagePlugin
        except ImportError:
            raise UndecodableImage("is an AVIF image, which this version of Pillow cannot read; install 11.3") from None
        return AvifImagePlugin.AvifImageFile
    if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"):
        try:
            from pillow_heif import HeifImageFile
        except ImportError:
            raise UndecodableImage(
                "is a HEIC image, which needs the package pillow-heif: pip install 'triptych[heic]'"
            ) from None
        reader: type[ImageFile.ImageFile] = HeifImageFile
        return reader
    received = f"it begins with {start!r}" if start else "it is empty"
    raise UndecodableImage(f"is none of JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, AVIF, HEIC and .npy: {received}")


@cache
def _enlarge_blocks() -> None:
    """Return the memory of large images to the system, unless the user set the block size."""
    if "PILLOW_BLOCK_SIZE" not in os.environ:
        Image.core.set_block_size(BLOCK)  # type: ignore[attr-defined] # not in Pillow's list of public names


class _Room:
    """Limits the pixels that threads hold together; a single image is always allowed."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._whole = pixels
        self._changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is enough room."""
        pixels = min(pixels, self._whole)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


_ROOM = _Room(MAX_PIXELS)


class _Strictness:
    """Prevents Pillow from accepting truncated files while any thread decodes here.

    The setting, LOAD_TRUNCATED_IMAGES, applies to the whole process. If a library has enabled it, it is disabled from
    the first thread that enters until the last that leaves.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = 0
        self._forgiving = False

    def __enter__(self) -> None:
        with self._lock:
            self._threads += 1
            if ImageFile.LOAD_TRUNCATED_IMAGES:
                self._forgiving, ImageFile.LOAD_TRUNCATED_IMAGES = True, False

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if self._forgiving and not self._threads:
                self._forgiving, ImageFile.LOAD_TRUNCATED_IMAGES = False, True


_STRICTNESS = _Strictness()


def _stream(source: Source) -> BinaryIO:
    """Open a regular file only, because opening a pipe would block."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        kind = source.stat().st_mode
        if stat.S_ISREG(kind):
            return source.open("rb")
    except FileNotFoundError:
        raise UnreadableImage("does not exist") from None
    except OSError as error:
        raise UnreadableImage(f"cannot be opened ({error.strerror})") from error
    raise UnreadableImage("is a folder" if stat.S_ISDIR(kind) else "is not a file (but a pipe, socket or device)")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixels(
            f"has {width:,} x {height:,} pixels, more than the {max_pixels:,} that guard against decompression bombs"
        )
    if not width * height:
        raise UndecodableImage("has no pixels")


def _array(stream: BinaryIO, max_pixels: int) -> np.ndarray:
    """Read a uint8 array, allocating no more than the file contains: (H, W, C)."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = header(stream)
    _check_array(shape, dtype, max_pixels)
    begin, end = stream.tell(), stream.seek(0, io.SEEK_END)
    if end - begin != prod(shape):
        raise UndecodableImage(f"is damaged or cut off ({end - begin:,} bytes of pixels instead of {prod(shape):,})")
    stream.seek(begin)
    pixels = np.frombuffer(bytearray(stream.read()), np.uint8).reshape(shape, order="F" if is_fortran else "C")
    return np.ascontiguousarray(pixels.reshape(*shape[:2], -1))


def _checked_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    """Check and copy the pixels of an array: (H, W, C)."""
    _check_array(array.shape, array.dtype, max_pixels)
    return np.array(array.reshape(*array.shape[:2], -1), order="C")


def _check_array(shape: tuple[int, ...], dtype: np.dtype, max_pixels: int) -> None:
    if dtype != np.uint8 or len(shape) not in (2, 3):
        raise UndecodableImage(f"holds {dtype} of shape {shape}, where uint8 (H, W) or (H, W, C) is expected")
    _check_size(shape[1], shape[0], max_pixels)
    if not prod(shape):
        raise UndecodableImage("has no channels")
