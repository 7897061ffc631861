"""Divides listed images, known or own, into training, validation and test: the end of the one road."""

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
"""Corrupt files of which a message gives the reason."""


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
        listing: What is known of them.
        decoded: Their pixels, in the order of the listing.
        fractions: Shares of the images that validate and that test, where the listing has none; 0 takes none.
        seed: Chooses these.
        on_corrupt: What to do about images that cannot be decoded. Left out, they change nothing for the others.
        title: What people call the images.
        corrected: Labels in place of those of the listing. The splits are chosen by the latter, so that no image
            changes sides.

    Raises:
        DataError: Images are corrupt, and are not to be left out; no image of some class is left for training; or
            nothing can be held out.
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
        DataError: None can be held out.
    """
    if data.validation is not None:
        return data
    try:
        places = apportion(data.train.labels.cpu(), fractions=(fraction, 0), seed=seed)
    except ValueError as error:
        raise DataError(f"No validation images can be held out ({data.origin}): {error}.") from error
    return replace(data, train=data.train.select(places.train), validation=data.train.select(places.validation))


def complete_splits(listing: Listing, *, fractions: tuple[float, float], seed: int) -> Positions:
    """Take from training what a listing lacks: validation, test or both. Splits that it has stay as they are.

    Args:
        listing: The images.
        fractions: Shares of its training images that validate and that test, as for `apportion`.
        seed: Chooses the images.

    Raises:
        ValueError: As `apportion` does.
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
    """Choose images of a listing, and note where they stand among those that it lists for the same split."""
    names = None if listing.names is None else [listing.names[place] for place in places.tolist()]
    within = torch.zeros(len(listing), dtype=torch.int64)
    for part in (TRAIN, VALIDATION, TEST):
        given = listing.split == part
        within[given] = torch.arange(int(given.sum()))
    return Split(select(decoded.images, places), listing.labels[places], names, within[places])


def _reasons(listing: Listing, decoded: DecodedImages) -> list[str]:
    """Give the reasons of the first few images that cannot be decoded, and the number of the others."""
    named = [f"{listing.name(place)} {reason}" for place, reason in list(decoded.rejected.items())[:NAMED]]
    more = len(decoded.rejected) - NAMED
    return named if more <= 0 else [*named, f"and {more:,} more"]
