"""Looks at a sample of labelled images before anything is decided about them; for `triptych init`."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from triptych.data.listing import Listing
from triptych.data.pixels.cache import Progress
from triptych.data.pixels.decoding import measure
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.data.pixels.resizing import decode_and_fit
from triptych.errors import DataError
from triptych.inspection.flips import Flips, advise_flips
from triptych.inspection.mirror import SIDE, mirror_test
from triptych.inspection.strokes import drawn_in_strokes

LOOKED_AT = 1000
"""Images of the sample, at most."""

AT_ONCE = 50
"""Images after which progress is told."""


@dataclass(frozen=True)
class Survey:
    """What a sample of images is like.

    Attributes:
        looked_at: How many images it has.
        sizes: Height and width, upright, of those that can be decoded.
        channels: Of most of them: 1 for grey ones, 3 for coloured ones, or those of arrays.
        other_channels: How many have others.
        refused: Why images cannot be decoded, by their names.
        flips: Whether to mirror them.
    """

    looked_at: int
    sizes: tuple[tuple[int, int], ...]
    channels: int
    other_channels: int
    refused: dict[str, str]
    flips: Flips


def survey(listing: Listing, *, threads: int = 1, progress: Progress | None = None) -> Survey:
    """Decode a sample, as many images of every class as can be, and say what it is like.

    Args:
        listing: The images.
        threads: That read and decode.
        progress: Told how far it is.

    Raises:
        DataError: None of the sample can be decoded.
    """
    places = sample_by_class(listing.labels, LOOKED_AT)
    seen: dict[int, _Seen] = {}
    refused: dict[str, str] = {}
    reason = ""
    for place, found in zip(places, _looks(listing, places, threads, progress), strict=True):
        if isinstance(found, _Seen):
            seen[place] = found
        else:
            reason = refused[listing.name(place)] = found
    if not seen:
        raise DataError(
            f"Expected images; got {len(listing):,} files of which none could be decoded. The last {reason}."
        )
    channels = [one.channels for one in seen.values()]
    usual = max(sorted(set(channels)), key=channels.count)
    thumbnails = np.stack([one.thumbnail for one in seen.values()])
    test = mirror_test(thumbnails, listing.labels[list(seen)].numpy())
    return Survey(
        looked_at=len(places),
        sizes=tuple(one.size for one in seen.values()),
        channels=usual,
        other_channels=len(channels) - channels.count(usual),
        refused=refused,
        flips=advise_flips(listing.classes, test, drawn=drawn_in_strokes(thumbnails)),
    )


def sample_by_class(labels: Tensor, most: int) -> list[int]:
    """Choose images, spread over each class, so that small classes are in it with as many images as large ones.

    Returns:
        Ascending positions of at most `most` images; of more classes than that, of some.

    Example:
        >>> import torch
        >>> sample_by_class(torch.tensor([0, 0, 0, 0, 0, 0, 1]), 4)
        [0, 2, 4, 6]
    """
    order = np.argsort(labels.numpy(), kind="stable")
    counts = np.bincount(labels.numpy())
    members = sorted(np.split(order, counts.cumsum()[:-1]), key=len)
    chosen: list[int] = []
    for number, places in enumerate(members):
        count = min(len(places), -(-(most - len(chosen)) // (len(members) - number)))
        chosen += places[np.arange(count) * len(places) // max(1, count)].tolist()
    return sorted(chosen)


class _Seen(NamedTuple):
    size: tuple[int, int]
    channels: int
    thumbnail: np.ndarray


def _looks(listing: Listing, places: Sequence[int], threads: int, progress: Progress | None) -> Iterator[_Seen | str]:
    with ThreadPoolExecutor(max(1, threads)) as executor:
        for start in range(0, len(places), AT_ONCE):
            if progress:
                progress("looking at", start, len(places))
            yield from executor.map(_look, [listing.encoded[place] for place in places[start : start + AT_ONCE]])
    if progress:
        progress("looking at", len(places), len(places))


def _look(source: Source) -> _Seen | str:
    """Measure an image and make it small, or say why that is impossible."""
    try:
        header = measure(source)
        pixels = decode_and_fit(source, size=(SIDE, SIDE), how="stretch").astype(np.float32)
    except UndecodableImage as error:
        return error.reason
    is_grey = header.channels == 3 and bool((pixels == pixels[..., :1]).all())
    return _Seen((header.height, header.width), 1 if is_grey else header.channels, pixels.mean(2))
