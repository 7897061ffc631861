"""What the files of one's own images tell: corrupt ones, and sizes and channels that the config bends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from triptych.config.schema import DatasetConfig
from triptych.data.builder import DecodedListing
from triptych.data.listing import Listing
from triptych.data.pixels.decoding import Measure, measure, usual_channels
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.inspection.finding import Finding, Severity

LOOKED_AT = 10_000
"""Images, evenly spread over all, whose sizes are read."""
BENT = 0.25
"""Share of an image that bars may fill or a crop may take, on average."""
OTHER = 1.15
"""Factor from which on the usual proportions are others than those of the config."""
DISTORTED = 1.5
"""Factor by which stretching may change an image's proportions, on average."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """Of some images, n in all.

    Attributes:
        height: (n,) in pixels, upright.
        width: Likewise.
    """

    height: np.ndarray
    width: np.ndarray

    def summary(self) -> dict[str, dict[str, float]]:
        """Smallest, middle and largest height, width and ratio of width to height."""
        values = {"height": self.height, "width": self.width, "aspect_ratio": np.round(self.width / self.height, 3)}
        return {
            name: {"least": float(value.min()), "median": float(np.median(value)), "most": float(value.max())}
            for name, value in values.items()
        }


def measured_sizes(listing: Listing, *, threads: int) -> Sizes:
    """Read the headers of images, of up to `LOOKED_AT`; those that cannot be read have no say."""
    places = range(0, len(listing), -(-len(listing) // LOOKED_AT))
    with ThreadPoolExecutor(max(1, threads)) as executor:
        found = executor.map(_measured, (listing.encoded[place] for place in places))
        known = [one for one in found if one is not None]
    return Sizes(np.array([one.height for one in known]), np.array([one.width for one in known]))


def file_findings(dataset: DatasetConfig, found: DecodedListing, sizes: Sizes) -> list[Finding]:
    """Say what decoding has refused, and what is lost on the way to the size and channels that the config asks for."""
    return [
        *_corrupt(dataset, found),
        *_enlarged(dataset, sizes),
        *_bent(dataset, sizes),
        *_colours(dataset, found.listing),
        *(Finding(Severity.NOTE, "files", note, "They are not used.") for note in found.listing.notes),
    ]


def _measured(source: Source) -> Measure | None:
    try:
        return measure(source)
    except UndecodableImage:
        return None


def _corrupt(dataset: DatasetConfig, found: DecodedListing) -> Iterator[Finding]:
    refused = found.decoded.refused
    if not refused:
        return
    skips = dataset.on_corrupt == "skip"
    yield Finding(
        Severity.WARNING if skips else Severity.WRONG,
        "corrupt files",
        f"{len(refused):,} of {len(found.listing):,} images cannot be decoded.",
        "They are left out (dataset.on_corrupt: skip)."
        if skips
        else "Training refuses to begin; mend or remove them, or leave them out by dataset.on_corrupt: skip.",
        tuple(f"{found.listing.name(place)} {reason}" for place, reason in refused.items()),
    )


def _enlarged(dataset: DatasetConfig, sizes: Sizes) -> Iterator[Finding]:
    _, height, width = dataset.stored_shape
    is_small = (2 * sizes.height <= height) & (2 * sizes.width <= width)
    if is_small.mean() > 0.5:
        side = int(np.median(np.maximum(sizes.height, sizes.width)))
        yield Finding(
            Severity.WARNING,
            "enlarged images",
            f"{is_small.mean():.0%} of the images are less than half as high and wide as dataset.image_size "
            f"({height}x{width}).",
            f"They are enlarged, which costs time and shows nothing new; a side of {side} holds what there is.",
        )


def _bent(dataset: DatasetConfig, sizes: Sizes) -> Iterator[Finding]:
    """See how far the images' proportions are from those that are wanted."""
    _, height, width = dataset.stored_shape
    factor = np.exp(abs(np.log(sizes.width / sizes.height) - np.log(width / height)))
    lost = float((1 - 1 / factor).mean())
    match dataset.fit:
        case "letterbox" if lost > BENT:
            text, remedy = f"Black bars fill {lost:.0%} of an image on average.", "Nothing is cut off"
        case "crop" if lost > BENT:
            text, remedy = f"Cropping cuts off {lost:.0%} of an image on average.", "What is cut off is not seen"
        case "stretch" if factor.mean() > DISTORTED:
            text = f"Stretching changes the images' proportions by a factor of {factor.mean():.1f} on average."
            remedy = "Shapes are distorted"
        case _:
            return
    ratio = float(np.median(sizes.width / sizes.height))
    if abs(np.log(ratio * height / width)) > np.log(OTHER):
        remedy += (
            f"; the usual image is {ratio:.2f} times as wide as high, which dataset.image_size: [height, width] can "
            "follow"
        )
    yield Finding(Severity.WARNING, "proportions", text, f"{remedy}.")


def _colours(dataset: DatasetConfig, listing: Listing) -> Iterator[Finding]:
    usual, wanted = usual_channels(listing.encoded), dataset.stored_shape[0]
    if (usual, wanted) == (3, 1):
        yield Finding(Severity.NOTE, "colours", "Most images are coloured.", "dataset.channels: 1 makes them grey.")
    if (usual, wanted) == (1, 3):
        yield Finding(
            Severity.NOTE,
            "colours",
            "Most images are grey.",
            "dataset.channels: 3 stores each three times; 1 tells as much.",
        )
