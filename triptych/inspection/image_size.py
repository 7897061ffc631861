"""To what size images of one's own are brought, and how they fill it; for `suggestion.py`."""

from collections.abc import Sequence
from math import ceil, exp, log
from statistics import median, mode
from typing import Literal, NamedTuple

SIDES = {224: 20_000, 128: 2_000, 64: 0}
"""Usual sides of photographs, and how many images each is worth while for: of few, a model of finer detail learns each
by heart. An estimate."""
LARGEST_ON_CPU = 64
"""Without a GPU, epochs of larger images take too long for a first run."""
SMALL = 56
"""Images up to this longer side keep their size."""
SMALLEST = 8

WIDE = 1.15
"""From this ratio of the sides on, images that all lie or all stand are not made square."""
ALIKE = 1.05
"""Proportions that differ by no more than this factor look the same when they are stretched."""
CUT = 0.2
"""Share of an image that may be cut off, on average."""


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
        """Those of an image with its padding."""
        return (self.height + 2 * self.pad) * (self.width + 2 * self.pad)


class Fit(NamedTuple):
    """How images fill the size, and why."""

    how: Literal["letterbox", "crop", "stretch"]
    reason: str


def usual_side(sizes: Sequence[tuple[int, int]], *, images: int, has_gpu: bool) -> int:
    """Choose the shorter side that images are brought to; small ones keep theirs.

    Args:
        sizes: Heights and widths of some of the images.
        images: How many there are in all.
        has_gpu: Whether a GPU will train on them.

    Example:
        >>> usual_side([(480, 640)], images=9000, has_gpu=True), usual_side([(28, 28)], images=9000, has_gpu=False)
        (128, 28)
    """
    shorter = median(min(size) for size in sizes)
    if median(max(size) for size in sizes) <= SMALL:
        return max(SMALLEST, round(shorter))
    for side, worth_while in SIDES.items():
        if side <= shorter and images >= worth_while and (has_gpu or side <= LARGEST_ON_CPU):
            return side
    return max(32, round(shorter / 8) * 8)


def size_of(side: int, sizes: Sequence[tuple[int, int]], *, patch_size: int) -> Size:
    """Give the shorter side its length, the longer one the images' usual proportions, and both whole patches.

    Example:
        >>> size_of(64, [(480, 640), (470, 640)], patch_size=8)
        Size(height=64, width=88, pad=0)
        >>> size_of(30, [(30, 30)], patch_size=4)
        Size(height=30, width=30, pad=1)
    """
    ratio = usual_ratio(sizes)
    height, width = (side, side * ratio) if ratio >= 1 else (side / ratio, side)
    own = _usual_size(sizes) or (round(height), round(width))
    if min(own) >= SMALLEST and max(own) <= SMALL:
        # Padding keeps the pixels of small images as they are, where it makes whole patches of them.
        for pad in range(patch_size):
            if all((length + 2 * pad) % patch_size == 0 for length in own):
                return Size(*own, pad)
    fewest = ceil(SMALLEST / patch_size)
    high, wide = (max(fewest, round(length / patch_size)) * patch_size for length in (height, width))
    return Size(high, wide, 0)


def usual_ratio(sizes: Sequence[tuple[int, int]]) -> float:
    """Return width over height, at most 4 and at least a quarter; 1 unless nearly all images lie, or nearly all stand.

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
    """Choose by how much the images' proportions differ from those of the size.

    Args:
        size: What they are brought to.
        sizes: Heights and widths of some of the images.
        keeps_all: Whether nothing may be cut off, as of text.

    Example:
        >>> choose_fit(Size(64, 64, 0), [(480, 640), (640, 480)], keeps_all=False).how
        'letterbox'
        >>> choose_fit(Size(64, 64, 0), [(100, 110), (110, 100)], keeps_all=False).how
        'crop'
    """
    target = log(size.width / size.height)
    differences = sorted(abs(log(width / height) - target) for height, width in sizes)
    if differences[-1] < log(1.005):
        return Fit("letterbox", "all have this shape, so that nothing is added")
    if differences[int(0.95 * (len(differences) - 1))] <= log(ALIKE):
        return Fit("stretch", f"proportions differ by less than {ALIKE - 1:.0%}: too little to see")
    lost = sum(1 - exp(-difference) for difference in differences) / len(differences)
    if keeps_all:
        return Fit("letterbox", "whole, with black bars: of a sign nothing may be cut off")
    if lost <= CUT:
        return Fit("crop", f"cut at two edges, by {lost:.0%} on average")
    return Fit("letterbox", f"whole, with black bars: proportions differ so much that a cut would take {lost:.0%}")


def _usual_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the size that most images have, if most have one."""
    usual = mode(sizes)
    return usual if 2 * list(sizes).count(usual) > len(sizes) else None
