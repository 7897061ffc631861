"""Common properties of a data set's images: channels, range of 16-bit values, transparency."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from triptych.data.pixels.decoding import Measure, has_transparency, largest_value, looks_grey, measure
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.errors import DataError

LOOKED_AT = 500
"""Number of equally spaced images that are checked for greyscale and 16 bits."""

WHITE_LEVELS = (255, 1023, 4095, 16383, 65535)
"""White levels of 8, 10, 12, 14 and 16 bits."""


@dataclass(frozen=True)
class Traits:
    """Properties of a sample of images.

    Attributes:
        looked_at: Number of images that could be decoded.
        channels: 1 if most images are greyscale, 3 if most have colours, or the number of channels of most arrays.
        deep: Number of images with one channel of 16 bits.
        deep_colours: Number of images with several channels of 16 bits, of which Pillow reads the upper 8.
        transparent: Number of images with transparent pixels.
    """

    looked_at: int
    channels: int
    deep: int
    deep_colours: int
    transparent: int


def traits_of(sources: Sequence[Source], *, threads: int = 1, channels: int | None = None) -> Traits:
    """Inspect a few hundred images, equally spaced. Images that cannot be decoded are ignored.

    Args:
        sources: The images.
        threads: Number of threads.
        channels: The number of channels, if known: then only images that can be transparent are decoded.

    Raises:
        DataError: None of the inspected images can be decoded.
    """
    step = max(1, -(-len(sources) // LOOKED_AT))
    look = partial(_look, channels=channels)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        looks = list(pool.map(look, (sources[place] for place in range(0, len(sources), step))))
    found = [look for look in looks if isinstance(look, _Look)]
    if not found:
        reason = next((str(look) for look in looks), "")
        raise DataError(f"Expected images; got {len(sources):,} files of which none could be decoded. {reason}")
    seen = [1 if look.is_grey else look.measure.channels for look in found]
    return Traits(
        looked_at=len(found),
        channels=channels or max(sorted(set(seen)), key=seen.count),
        deep=sum(look.measure.bits == 16 and look.measure.channels == 1 for look in found),
        deep_colours=sum(look.measure.bits == 16 and look.measure.channels > 1 for look in found),
        transparent=sum(look.is_transparent for look in found),
    )


def usual_channels(sources: Sequence[Source]) -> int:
    """Return the number of channels of most images; raises as `traits_of`."""
    return traits_of(sources).channels


def white_level(sources: Sequence[Source], *, threads: int = 1) -> tuple[int, int]:
    """Return the smallest of `WHITE_LEVELS` that no 16-bit value of any image exceeds, and the largest value."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        places = range(0, len(sources), 64)
        parts = pool.map(
            _largest, ([sources[place] for place in range(start, min(start + 64, len(sources)))] for start in places)
        )
        largest = max(parts, default=0)
    return next(level for level in WHITE_LEVELS if level >= min(largest, 65535)), largest


@dataclass(frozen=True)
class _Look:
    measure: Measure
    is_grey: bool
    is_transparent: bool


def _look(source: Source, *, channels: int | None) -> _Look | UndecodableImage:
    try:
        header = measure(source)
        is_grey = channels is None and looks_grey(source)
        return _Look(header, is_grey, has_transparency(source))
    except UndecodableImage as error:
        return error


def _largest(sources: Sequence[Source]) -> int:
    found = 0
    for source in sources:
        try:
            found = max(found, largest_value(source))
        except UndecodableImage:
            continue
    return found
