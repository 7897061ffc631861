"""Chooses the size that images are resized to, and how they fill it; for `choices.py`."""

from collections.abc import Sequence
from math import ceil, exp, log
from statistics import median, mode
from typing import Literal, NamedTuple

SIDES = {224: 20_000, 128: 2_000, 64: 0}
"""Usual sides of photographs, and the images from which each is worthwhile: with fewer, finer detail leads to
overfitting. An estimate."""
LARGEST_ON_CPU = 64
"""Without a GPU, larger images take too long for a first run."""
SMALL = 56
"""Largest longer side of images that keep their size."""
SMALLEST = 8

WIDE = 1.15
"""Aspect ratio from which on images that are all landscape, or all portrait, are not made square."""
ALIKE = 1.05
"""Largest factor between aspect ratios whose difference stretching makes invisible."""
CUT = 0.2
"""Largest mean share of an image that may be cut off."""


class Size(NamedTuple):
    """A choice.

    Attributes:
        height: In pixels, without padding.
        width: Likewise.
        pad: Pixels added on every side.
    """

    height: int
    width: int
    pad: int

    @property
    def pixels(self) -> int:
        """Pixels of an image with its padding."""
        return (self.height + 2 * self.pad) * (self.width + 2 * self.pad)


class Fit(NamedTuple):
    """How images fill the size, and the reason."""

    how: Literal["letterbox", "crop", "stretch"]
    reason: str


def usual_side(sizes: Sequence[tuple[int, int]], *, images: int, has_gpu: bool) -> int:
    """Choose the shorter side that images are resized to; small ones keep theirs.

    Example:
        >>> usual_side([(480, 640)], images=9000, has_gpu=True), usual_side([(28, 28)], images=9000, has_gpu=False)
        (128, 28)
    """
    shorter = median(min(size) for size in sizes)
    if median(max(size) for size in sizes) <= SMALL:
        return max(SMALLEST, round(shorter))
    for side, worthwhile in SIDES.items():
        if side <= shorter and images >= worthwhile and (has_gpu or side <= LARGEST_ON_CPU):
            return side
    return max(32, round(shorter / 8) * 8)


def size_of(side: int, sizes: Sequence[tuple[int, int]], *, patch_size: int) -> Size:
    """Return a size with the given shorter side, the usual aspect ratio of the images, and whole patches.

    Example:
        >>> size_of(64, [(480, 640), (470, 640)], patch_size=8)
        Size(height=64, width=88, pad=0)
        >>> size_of(30, [(30, 30)], patch_size=4)
        Size(height=30, width=30, pad=1)
    """
    ratio = usual_ratio(sizes)
    height, width = (side, side * ratio) if ratio >= 1 else (side / ratio, side)
    own = _usual_size(sizes) or (round(height), round(width))
    if min(own) >= SMALLEST and max(own) <= SMALL and (exact := padded_size(*own, patch_size=patch_size)):
        return exact
    fewest = ceil(SMALLEST / patch_size)
    high, wide = (max(fewest, round(length / patch_size)) * patch_size for length in (height, width))
    return Size(high, wide, 0)


def padded_size(height: int, width: int, *, patch_size: int) -> Size | None:
    """Pad a size to whole patches, which keeps the pixels of an image; None if no padding fits both sides.

    Example:
        >>> padded_size(30, 30, patch_size=4), padded_size(30, 31, patch_size=4)
        (Size(height=30, width=30, pad=1), None)
    """
    for pad in range(patch_size):
        if (height + 2 * pad) % patch_size == (width + 2 * pad) % patch_size == 0:
            return Size(height, width, pad)
    return None


def requested_size(height: int, width: int, *, patch_size: int) -> tuple[Size, int]:
    """Keep a size that the user requests, by padding or smaller patches; or round it to whole patches.

    Returns:
        The size, and the patch size.

    Example:
        >>> requested_size(100, 64, patch_size=8), requested_size(101, 64, patch_size=8)
        ((Size(height=100, width=64, pad=0), 4), (Size(height=104, width=64, pad=0), 8))
    """
    for smaller in (patch_size, patch_size // 2):
        if smaller > 1 and (size := padded_size(height, width, patch_size=smaller)):
            return size, smaller
    high, wide = (max(SMALLEST, round(side / patch_size) * patch_size) for side in (height, width))
    return Size(high, wide, 0), patch_size


def usual_ratio(sizes: Sequence[tuple[int, int]]) -> float:
    """Return the median aspect ratio, from 1/4 to 4; 1 unless nearly all images are landscape, or nearly all portrait.

    Example:
        >>> usual_ratio([(480, 640)] * 9 + [(640, 480)] * 1), usual_ratio([(480, 640)] * 5 + [(640, 480)] * 5)
        (1.3333333333333333, 1.0)
    """
    ratios = sorted(width / height for height, width in sizes)
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    if low < WIDE and high > 1 / WIDE:
        return 1.0
    return min(4.0, max(0.25, median(ratios)))


def choose_fit(size: Size, sizes: Sequence[tuple[int, int]], *, keeps_all: bool) -> Fit:
    """Choose by how much the aspect ratios of the images differ from that of the size.

    Example:
        >>> choose_fit(Size(64, 64, 0), [(480, 640), (640, 480)], keeps_all=False).how
        'letterbox'
        >>> choose_fit(Size(64, 64, 0), [(100, 110), (110, 100)], keeps_all=False).how
        'crop'
    """
    target = log(size.width / size.height)
    differences = sorted(abs(log(width / height) - target) for height, width in sizes)
    if differences[-1] < log(1.005):
        return Fit("letterbox", "all images have this aspect ratio: no bars are needed")
    if differences[int(0.95 * (len(differences) - 1))] <= log(ALIKE):
        return Fit("stretch", f"aspect ratios differ by less than {ALIKE - 1:.0%}")
    lost = sum(1 - exp(-difference) for difference in differences) / len(differences)
    if keeps_all:
        return Fit("letterbox", "adds black bars: cropping could cut off part of a sign")
    if lost <= CUT:
        return Fit("crop", f"cuts {lost:.0%} off at two edges on average")
    return Fit("letterbox", f"adds black bars: cropping would cut off {lost:.0%} on average")


def _usual_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the size of more than half of the images, if there is one."""
    usual = mode(sizes)
    return usual if 2 * list(sizes).count(usual) > len(sizes) else None
