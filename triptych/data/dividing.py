"""A user's own images as a data set: what was listed, brought to one size and divided into splits."""

from collections.abc import Sequence
from typing import Literal

import torch

from triptych.data.apportion import complete_splits
from triptych.data.images import ImageData, Split
from triptych.data.listing import Listing, listed
from triptych.data.pixels.cache import DecodedImages
from triptych.data.pixels.decoding import looks_grey, measure
from triptych.data.pixels.mapped import MappedImages
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.errors import DataError

LOOKED_AT = 500
"""Images, evenly spread over all, that say whether most are grey."""

NAMED = 10
"""Corrupt files of which a message gives the reason."""


def usual_channels(sources: Sequence[Source]) -> int:
    """Return 1 where most images are grey, 3 where they are coloured, or the number that most arrays have.

    Of many images some hundred are looked at. Images that cannot be decoded have no say.

    Raises:
        DataError: None of those looked at can be decoded.
    """
    step = -(-len(sources) // LOOKED_AT)
    found, reason = [], ""
    for position in range(0, len(sources), step):
        try:
            source = sources[position]
            channels = measure(source).channels
            found.append(1 if channels == 3 and looks_grey(source) else channels)
        except UndecodableImage as error:
            reason = str(error)
    if not found:
        raise DataError(f"Expected images; got {len(sources):,} files of which none could be decoded. {reason}")
    return max(sorted(set(found)), key=found.count)


def divided(
    listing: Listing,
    decoded: DecodedImages,
    *,
    fractions: tuple[float, float],
    seed: int,
    on_corrupt: Literal["error", "skip"],
    title: str,
) -> ImageData:
    """Divide decoded images into training, validation and test.

    Args:
        listing: What is known of them.
        decoded: Their pixels, in the order of the listing.
        fractions: Shares of the images that validate and that test, where the listing has none.
        seed: Chooses these.
        on_corrupt: What to do about images that cannot be decoded. Left out, they change nothing for the others.
        title: What people call the images.

    Raises:
        DataError: Images are corrupt, and are not to be left out; no image of some class is left for training; or
            nothing can be held out.
    """
    corrupt = _reasons(listing, decoded)
    counted = f"{len(decoded.refused):,} of {len(listing):,} images cannot be decoded"
    if corrupt and on_corrupt == "error":
        raise DataError(
            "\n  ".join([f"{counted}:", *corrupt])
            + "\nMend or remove them, or leave them out by dataset.on_corrupt: skip."
        )
    is_whole = torch.ones(len(listing), dtype=torch.bool)
    is_whole[list(decoded.refused)] = False
    try:
        positions = complete_splits(listing, fractions=fractions, seed=seed)
    except ValueError as error:
        raise DataError(f"No images can be held out ({listing.origin}): {error}.") from error
    train, validation, test = (
        _split(listing, decoded, places[is_whole[places]])
        for places in (positions.train, positions.validation, positions.test)
    )
    counts = torch.bincount(train.labels, minlength=len(listing.classes))
    if empty := [name for name, count in zip(listing.classes, counts.tolist(), strict=True) if not count]:
        raise DataError(f"Expected training images of every class, but none of {listed(empty)} can be decoded.")
    for name, split in (("validation", validation), ("test", test)):
        if not len(split):
            raise DataError(f"Expected {name} images ({listing.origin}), but none of them can be decoded.")
    notes = (*listing.notes, f"{counted} and are left out: {'; '.join(corrupt)}.") if corrupt else listing.notes
    return ImageData(train, test, listing.classes, listing.origin, validation=validation, title=title, notes=notes)


def _split(listing: Listing, decoded: DecodedImages, places: torch.Tensor) -> Split:
    images = MappedImages(decoded.pixels, places)
    return Split(images, listing.labels[places], names=[listing.names[place] for place in places.tolist()])


def _reasons(listing: Listing, decoded: DecodedImages) -> list[str]:
    """Say why the first few images that cannot be decoded cannot, and how many more there are."""
    reasons = [f"{listing.names[place]} {reason}" for place, reason in decoded.refused.items()]
    more = len(reasons) - NAMED
    return reasons if more <= 0 else [*reasons[:NAMED], f"and {more:,} more"]
