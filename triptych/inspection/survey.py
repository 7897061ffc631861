"""Inspects a sample of labelled images: sizes, channels, unreadable files, and whether flips help."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from triptych.data.listing import Listing
from triptych.data.pixels.decoding import measure
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.data.pixels.quiet import summarised_warnings
from triptych.data.pixels.resizing import decode_and_fit
from triptych.errors import DataError
from triptych.inspection.flips import SIDE, Flips, advise_flips

SAMPLE = 1000
"""Most images of a sample."""


@dataclass(frozen=True)
class Survey:
    """Properties of a sample of images.

    Attributes:
        images: Images of the sample.
        sizes: Height and width of the readable ones, after rotation by EXIF data.
        channels: Of most of them: 1 for grey ones, 3 for coloured ones, or those of arrays.
        unreadable: Reasons why images cannot be decoded, by their names.
        flips: Whether horizontal flips help.
    """

    images: int
    sizes: tuple[tuple[int, int], ...]
    channels: int
    unreadable: dict[str, str]
    flips: Flips


def survey(listing: Listing, *, threads: int = 1) -> Survey:
    """Decode a sample with an equal number of images of every class, as far as possible.

    Raises:
        DataError: No image of the sample can be decoded.
    """
    places = sample_by_class(listing.labels, SAMPLE)
    seen: list[_Seen] = []
    unreadable: dict[str, str] = {}
    with summarised_warnings(), ThreadPoolExecutor(max(1, threads)) as executor:
        results = list(executor.map(_see, (listing.encoded[place] for place in places)))
    for place, found in zip(places, results, strict=True):
        if isinstance(found, _Seen):
            seen.append(found)
        else:
            unreadable[listing.name(place)] = found
    if not seen:
        raise DataError(
            f"Expected images; got {len(listing):,} files of which none could be decoded. "
            f"The last {list(unreadable.values())[-1]}."
        )
    channels = [one.channels for one in seen]
    return Survey(
        images=len(places),
        sizes=tuple(one.size for one in seen),
        channels=max(sorted(set(channels)), key=channels.count),
        unreadable=unreadable,
        flips=advise_flips(listing.classes, np.stack([one.thumbnail for one in seen])),
    )


def sample_by_class(labels: Tensor, most: int) -> list[int]:
    """Choose images spread over each class, so that small classes have as many of them as large ones.

    Returns:
        Ascending positions of at most `most` images; if there are more classes, of some of them.

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


def _see(source: Source) -> _Seen | str:
    """Measure an image and reduce it, or return the reason why that is impossible."""
    try:
        header = measure(source)
        pixels = decode_and_fit(source, size=(SIDE, SIDE), how="stretch").astype(np.float32)
    except UndecodableImage as error:
        return error.reason
    is_grey = header.channels == 3 and bool((pixels == pixels[..., :1]).all())
    return _Seen((header.height, header.width), 1 if is_grey else header.channels, pixels.mean(2))
