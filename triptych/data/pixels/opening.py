"""Opens image files without trusting them: the reason, in one line, why a file cannot be used; for `decoding.py`.

Pillow reads the files, through its readers of a few formats: some of its others start other programs. Nothing here
depends on Pillow's process-wide switches, which any library may have turned.
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
"""An image that is to be decoded, or one that has been: of Pillow, or an array, (H, W) or (H, W, C) uint8."""
EXTENSIONS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy", ".pbm", ".pgm", ".png"),
        *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""What such files are called, in lower case. Their content, not their name, decides how they are read."""
MAX_PIXELS = 89_478_485
"""Where Pillow begins to warn of decompression bombs: a quarter of a gigabyte as RGB. All threads together hold no
more pixels than this at a time."""

BLOCK = 1 << 26
"""Bytes of Pillow's blocks of memory. Blocks of its own 16 MiB stay with the C library's heap of each thread when an
image is closed; larger ones go back to the system."""

NOT_UTF8 = "has a name, or a folder, that is not valid UTF-8; rename it"
"""Why a file cannot be embedded or indexed, which tables and databases of text could not name."""


class UndecodableImage(DataError):  # noqa: N818  # undecodable is the image
    """A file that is no image, not a whole one, or not of the kind that is wanted.

    Attributes:
        reason: Why: what follows "The image ...".
        name: The file; "The image" where only its bytes were given.
    """

    def __init__(self, reason: str, name: str = "The image") -> None:
        super().__init__(reason, name)
        self.reason = reason
        self.name = name

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


class TooManyPixels(UndecodableImage):
    """An image that is larger than allowed; it was not decoded."""


class UnreadableImage(UndecodableImage):
    """An image of which circumstances are the reason, and not its content: it may be readable another time."""


@contextmanager
def opened(source: Picture, max_pixels: int) -> Iterator[Image.Image | np.ndarray]:
    """Open an image, its pixels yet to be decoded; whatever goes wrong in the block becomes one reason."""
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
                        image.close()  # which lets its memory go
    except UndecodableImage as error:
        raise type(error)(error.reason, name) from None
    except MemoryError as error:
        raise UnreadableImage("needs more memory than there is", name) from error
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        if isinstance(error, OSError) and error.errno is not None:  # of the system; Pillow's own have no number
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
"""What the files begin with, and their readers: called directly, they leave Pillow's global limit of pixels alone."""
_ARRAY = b"\x93NUMPY"


def _reader(start: bytes) -> type[ImageFile.ImageFile]:
    """Choose the reader by what a file begins with."""
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
    """Let the memory of large images go back to the system, unless somebody chose the blocks."""
    if "PILLOW_BLOCK_SIZE" not in os.environ:
        Image.core.set_block_size(BLOCK)  # type: ignore[attr-defined] # not in Pillow's list of public names


class _Room:
    """Lets threads hold so many pixels together, and one image alone whatever its size."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._whole = pixels
        self._changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room."""
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
    """Keeps Pillow from accepting cut-off files while any thread decodes here.

    The switch for that, LOAD_TRUNCATED_IMAGES, is one for the whole process. Where a library has turned it on, it is
    off from the first thread that enters until the last that ends.
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
    """Open what is a file: a pipe would be waited for."""
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
    """Read an array of images' bytes, allocating no more than the file really holds: (H, W, C)."""
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
    """Copy an array that is an image's pixels: (H, W, C)."""
    _check_array(array.shape, array.dtype, max_pixels)
    return np.array(array.reshape(*array.shape[:2], -1), order="C")


def _check_array(shape: tuple[int, ...], dtype: np.dtype, max_pixels: int) -> None:
    if dtype != np.uint8 or len(shape) not in (2, 3):
        raise UndecodableImage(f"holds {dtype} of shape {shape}, where uint8 (H, W) or (H, W, C) is expected")
    _check_size(shape[1], shape[0], max_pixels)
    if not prod(shape):
        raise UndecodableImage("has no channels")
