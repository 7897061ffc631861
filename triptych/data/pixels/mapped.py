"""Images on disk: pixels in a memory-mapped file, of which only the indexed parts are read."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

DIGESTED_AT_ONCE = 1024
"""Number of images that are read at a time for a digest of their pixels."""

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


class MappedImages:
    """Selected images of a file of raw pixels, in any order, each with an optional black border.

    Indexing reads only the indexed images; the operating system caches them in free memory.

    Args:
        pixels: uint8 (M, C, H, W), as returned by `map_pixels`.
        rows: The selected rows, (N,) int64; None selects all in order.
        padding: Number of black pixels added on every side of an image when it is read.
        content: A digest of all pixels, if known.

    Example:
        >>> images = MappedImages(torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2)).select(torch.tensor([2, 0]))
        >>> images.shape, images[torch.tensor([0])].flatten().tolist()
        (torch.Size([2, 1, 2, 2]), [8, 9, 10, 11])
    """

    def __init__(self, pixels: Tensor, rows: Tensor | None = None, *, padding: int = 0, content: str = "") -> None:
        self.pixels = pixels
        self.content = content
        self.rows = torch.arange(len(pixels)) if rows is None else rows
        self.padding = padding

    @property
    def shape(self) -> torch.Size:
        """(N, C, H, W), including the borders."""
        channels, *sides = self.pixels.shape[1:]
        return torch.Size([len(self.rows), channels, *(side + 2 * self.padding for side in sides)])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the pixels."""
        return self.pixels.dtype

    @property
    def device(self) -> torch.device:
        """The device of the images when they are read: the CPU."""
        return self.pixels.device

    @property
    def nbytes(self) -> int:
        """Size in bytes of all images in memory."""
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Tensor:
        """Read images, (n, C, H, W) uint8, or, for an integer, one image, (C, H, W)."""
        images = self.pixels[self.rows[index]]
        return F.pad(images, [self.padding] * 4) if self.padding else images.clone()

    def __iter__(self) -> Iterator[Tensor]:
        """Read one image after another."""
        return (self[row] for row in range(len(self)))

    def select(self, index: Tensor) -> "MappedImages":
        """Select images by positions or by a mask, without reading them."""
        return MappedImages(self.pixels, self.rows[index], padding=self.padding, content=self.content)

    def padded(self, pixels: int) -> "MappedImages":
        """Add a border, without reading the images."""
        return MappedImages(self.pixels, self.rows, padding=self.padding + pixels, content=self.content)

    def to(self, device: torch.device) -> Tensor:
        """Read all images, and copy them to a device."""
        return self[:].to(device)


Images: TypeAlias = Tensor | MappedImages
"""uint8 pixels (N, C, H, W), in memory or on the disk. Both can be indexed, and have shape, device and bytes."""


def map_pixels(file: Path, *, shape: Shape) -> Tensor:
    """Memory-map a file of raw uint8 pixels, (N, C, H, W) in C order; nothing is read yet or written."""
    image_bytes = shape[0] * shape[1] * shape[2]
    count = file.stat().st_size // image_bytes
    return torch.from_file(str(file), shared=False, size=count * image_bytes, dtype=torch.uint8).view(count, *shape)


def select(images: Images, index: Tensor) -> Images:
    """Select images by positions or by a mask."""
    return images.select(index) if isinstance(images, MappedImages) else images[index]


def padded(images: Images, pixels: int) -> Images:
    """Add a black border on every side."""
    if not pixels:
        return images
    return images.padded(pixels) if isinstance(images, MappedImages) else F.pad(images, [pixels] * 4)


def parts(images: Images, size: int) -> Iterator[Tensor]:
    """Read images in order, `size` at a time: (n, C, H, W) uint8 each."""
    return (images[start : start + size] for start in range(0, len(images), size))


def content_digest(images: Images) -> bytes:
    """Return a digest that differs if images differ; images of the cache are not read.

    Example:
        >>> content_digest(torch.zeros(1, 1, 2, 2)) == content_digest(torch.ones(1, 1, 2, 2))
        False
    """
    digest = hashlib.blake2b(repr(tuple(images.shape)).encode(), digest_size=16)
    if isinstance(images, MappedImages) and images.content:
        digest.update(f"{images.content} {images.padding}".encode())
        digest.update(images.rows.numpy().tobytes())
    else:
        for part in parts(images, DIGESTED_AT_ONCE):
            digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.digest()


def joined(images: Sequence[Images]) -> Images:
    """Concatenate images; those of a single memory-mapped file stay there."""
    mapped = [one for one in images if isinstance(one, MappedImages)]
    if len(mapped) == len(images) and len({(id(one.pixels), one.padding) for one in mapped}) == 1:
        first, rows = mapped[0], torch.cat([one.rows for one in mapped])
        return MappedImages(first.pixels, rows, padding=first.padding, content=first.content)
    return torch.cat([one[:] for one in images])
