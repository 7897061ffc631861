"""Splits listed images into training, validation and test, the common last step for all sources."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from triptych.data.images import ImageData, Split
from triptych.data.listing import TEST, TRAIN, VALIDATION, Listing, listed
from triptych.data.pixels.cache import DecodedImages
from triptych.data.pixels.mapped import select
from triptych.data.splits.corrections import DROPPED, Corrected
from triptych.data.splits.splitting import Positions, apportion
from triptych.errors import DataError

NAMED = 10
"""Maximum number of corrupt files with their reason in a message."""


def divided(
    listing: Listing,
    decoded: DecodedImages,
    *,
    fractions: tuple[float, float],
    seed: int,
    on_corrupt: Literal["error", "skip"],
    title: str,
    corrected: Corrected | None = None,
) -> ImageData:
    """Divide decoded images into training, validation and test.

    Args:
        listing: The listing of the images.
        decoded: Their pixels, in the order of the listing.
        fractions: Shares of validation and test images, if the listing has none; 0 takes none.
        seed: Seed of their choice.
        on_corrupt: Action for images that cannot be decoded. Skipping them does not affect the others.
        title: Display name of the images.
        corrected: Labels that replace those of the listing. The splits are chosen by the original labels, so that no
            image changes its split.

    Raises:
        DataError: Images are corrupt and not skipped; a class has no training images left; or no images can be held
            out.
    """
    corrupt = _reasons(listing, decoded)
    counted = f"{len(decoded.rejected):,} of {len(listing):,} images cannot be decoded"
    if corrupt and on_corrupt == "error":
        raise DataError(
            "\n  ".join([f"{counted}:", *corrupt])
            + "\nFix or remove them, or leave them out by dataset.on_corrupt: skip."
        )
    is_whole = torch.ones(len(listing), dtype=torch.bool)
    is_whole[list(decoded.rejected)] = False
    try:
        positions = complete_splits(listing, fractions=fractions, seed=seed)
    except ValueError as error:
        raise DataError(f"No images can be held out ({listing.origin}): {error}.") from error
    notes = (f"{counted} and are left out: {'; '.join(corrupt)}.",) if corrupt else ()
    if corrected:
        is_whole &= corrected.labels != DROPPED
        listing, notes = replace(listing, labels=corrected.labels), (*notes, corrected.note)
    train, validation, test = (_split(listing, decoded, places[is_whole[places]]) for places in positions)
    counts = torch.bincount(train.labels, minlength=len(listing.classes))
    if empty := [name for name, count in zip(listing.classes, counts.tolist(), strict=True) if not count]:
        raise DataError(
            f"Expected training images of every class, but none of {listed(empty)} can be decoded or are left."
        )
    for name, split, places in (("validation", validation, positions.validation), ("test", test, positions.test)):
        if len(places) and not len(split):
            raise DataError(f"Expected {name} images ({listing.origin}), but none of them can be decoded or are left.")
    return ImageData(
        train,
        test,
        listing.classes,
        listing.origin,
        title=title,
        validation=validation if len(positions.validation) else None,
        notes=(*listing.notes, *notes),
    )


def with_validation(data: ImageData, *, fraction: float, seed: int) -> ImageData:
    """Take validation images from the training images of a data set that has none, stratified.

    Raises:
        DataError: No images can be held out.
    """
    if data.validation is not None:
        return data
    try:
        places = apportion(data.train.labels.cpu(), fractions=(fraction, 0), seed=seed)
    except ValueError as error:
        raise DataError(f"No validation images can be held out ({data.origin}): {error}.") from error
    return replace(data, train=data.train.select(places.train), validation=data.train.select(places.validation))


def complete_splits(listing: Listing, *, fractions: tuple[float, float], seed: int) -> Positions:
    """Take missing splits (validation, test or both) from training. Existing splits do not change.

    Args:
        listing: The images.
        fractions: Shares of its training images for validation and test, as in `apportion`.
        seed: Chooses the images.

    Raises:
        ValueError: As in `apportion`.
    """
    given = [(listing.split == part).nonzero()[:, 0] for part in (TRAIN, VALIDATION, TEST)]
    pool = given[TRAIN].tolist()
    names, groups = listing.names, listing.groups
    validation, test = (
        0.0 if len(given[part]) else fraction for part, fraction in zip((VALIDATION, TEST), fractions, strict=True)
    )
    taken = apportion(
        listing.labels[given[TRAIN]],
        None if groups is None else [groups[place] for place in pool],
        fractions=(validation, test),
        seed=seed,
        names=None if names is None else [names[place] for place in pool],
    )
    train, *others = (given[TRAIN][places] for places in taken)
    return Positions(train, *(one if len(one) else other for one, other in zip(given[1:], others, strict=True)))


def _split(listing: Listing, decoded: DecodedImages, places: Tensor) -> Split:
    """Select images of a listing, with their positions among the listed images of the same split."""
    names = None if listing.names is None else [listing.names[place] for place in places.tolist()]
    within = torch.zeros(len(listing), dtype=torch.int64)
    for part in (TRAIN, VALIDATION, TEST):
        given = listing.split == part
        within[given] = torch.arange(int(given.sum()))
    return Split(select(decoded.images, places), listing.labels[places], names, within[places])


def _reasons(listing: Listing, decoded: DecodedImages) -> list[str]:
    """Return the reasons of the first few images that cannot be decoded, and the number of the others."""
    named = [f"{listing.name(place)} {reason}" for place, reason in list(decoded.rejected.items())[:NAMED]]
    more = len(decoded.rejected) - NAMED
    return named if more <= 0 else [*named, f"and {more:,} more"]
