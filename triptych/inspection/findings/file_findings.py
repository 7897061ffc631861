"""Findings about image files: corrupt ones, and sizes and channels that the config changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from triptych.config.schema import DatasetConfig
from triptych.data.builder import DecodedListing
from triptych.data.listing import Listing
from triptych.data.pixels.decoding import Measure, measure
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.data.pixels.quiet import summarised_warnings
from triptych.data.pixels.traits import usual_channels
from triptych.inspection.findings.finding import Finding, Severity

MEASURED = 10_000
"""Images, evenly spread over all, whose sizes are read."""
CHANGED = 0.25
"""Mean share of an image from which black bars or cropping are reported."""
OTHER_RATIO = 1.15
"""Factor between two aspect ratios from which on another `image_size` is proposed."""
DISTORTED = 1.5
"""Mean change of the aspect ratio from which on stretching is reported, as a factor."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of n images.

    Attributes:
        height: (n,) in pixels, after rotation by EXIF data.
        width: Likewise.
    """

    height: np.ndarray
    width: np.ndarray

    def summary(self) -> dict[str, dict[str, float]]:
        """Return minimum, median and maximum of height, width and aspect ratio (width over height)."""
        values = {"height": self.height, "width": self.width, "aspect_ratio": np.round(self.width / self.height, 3)}
        return {
            name: {"min": float(value.min()), "median": float(np.median(value)), "max": float(value.max())}
            for name, value in values.items()
        }


def measured_sizes(listing: Listing, *, threads: int) -> Sizes:
    """Read the headers of up to `MEASURED` images; unreadable ones are left out."""
    places = range(0, len(listing), -(-len(listing) // MEASURED))
    with summarised_warnings(), ThreadPoolExecutor(max(1, threads)) as executor:
        found = executor.map(_measured, (listing.encoded[place] for place in places))
        known = [one for one in found if one is not None]
    return Sizes(np.array([one.height for one in known]), np.array([one.width for one in known]))


def file_findings(dataset: DatasetConfig, found: DecodedListing, sizes: Sizes) -> list[Finding]:
    """Report corrupt images, and what conversion to the size and channels of the config loses."""
    return [
        *_corrupt(dataset, found),
        *_enlarged(dataset, sizes),
        *_reshaped(dataset, sizes),
        *_colours(dataset, found.listing),
        *(Finding(Severity.NOTE, "files", note, "") for note in found.listing.notes),
    ]


def _measured(source: Source) -> Measure | None:
    try:
        return measure(source)
    except UndecodableImage:
        return None


def _corrupt(dataset: DatasetConfig, found: DecodedListing) -> Iterator[Finding]:
    corrupt = found.decoded.rejected
    if not corrupt:
        return
    skips = dataset.on_corrupt == "skip"
    yield Finding(
        Severity.WARNING if skips else Severity.ERROR,
        "corrupt files",
        f"{len(corrupt):,} of {len(found.listing):,} images cannot be decoded.",
        "They are left out (dataset.on_corrupt: skip)."
        if skips
        else "Training stops; repair or remove them, or leave them out with dataset.on_corrupt: skip.",
        tuple(f"{found.listing.name(place)} {reason}" for place, reason in corrupt.items()),
    )


def _enlarged(dataset: DatasetConfig, sizes: Sizes) -> Iterator[Finding]:
    _, height, width = dataset.stored_shape
    is_small = (2 * sizes.height <= height) & (2 * sizes.width <= width)
    if is_small.mean() > 0.5:
        side = int(np.median(np.maximum(sizes.height, sizes.width)))
        yield Finding(
            Severity.WARNING,
            "enlarged images",
            f"{is_small.mean():.0%} of the images have less than half the height and width of dataset.image_size "
            f"({height}x{width}).",
            f"Enlarging costs time and adds no detail; a side of {side} keeps all of it.",
        )


def _reshaped(dataset: DatasetConfig, sizes: Sizes) -> Iterator[Finding]:
    """Compare the aspect ratios of the images with that of the config."""
    _, height, width = dataset.stored_shape
    factor = np.exp(abs(np.log(sizes.width / sizes.height) - np.log(width / height)))
    lost = float((1 - 1 / factor).mean())
    match dataset.fit:
        case "letterbox" if lost > CHANGED:
            text, remedy = f"Black bars fill {lost:.0%} of an image on average.", "Nothing is cut off"
        case "crop" if lost > CHANGED:
            text, remedy = f"Cropping removes {lost:.0%} of an image on average.", "The model never sees those parts"
        case "stretch" if factor.mean() > DISTORTED:
            text = f"Stretching changes aspect ratios by a factor of {factor.mean():.1f} on average."
            remedy = "Shapes are distorted"
        case _:
            return
    ratio = float(np.median(sizes.width / sizes.height))
    if abs(np.log(ratio * height / width)) > np.log(OTHER_RATIO):
        remedy += f"; the median aspect ratio is {ratio:.2f}, which dataset.image_size: [height, width] can match"
    yield Finding(Severity.WARNING, "aspect ratio", text, f"{remedy}.")


def _colours(dataset: DatasetConfig, listing: Listing) -> Iterator[Finding]:
    with summarised_warnings():
        usual, wanted = usual_channels(listing.encoded), dataset.stored_shape[0]
    if (usual, wanted) == (3, 1):
        remedy = "dataset.channels: 1 converts them to grey."
        yield Finding(Severity.NOTE, "colours", "Most images have colours.", remedy)
    if (usual, wanted) == (1, 3):
        yield Finding(
            Severity.NOTE,
            "colours",
            "Most images are grey.",
            "dataset.channels: 3 stores each channel three times; 1 keeps the same information.",
        )
