"""Findings from pixels: images without content, duplicates within and across splits, harmful flips."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.data.listing import SPLITS
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import joined, parts
from triptych.inspection.duplicates import Duplicates, find_duplicates
from triptych.inspection.findings.finding import Finding, Severity
from triptych.inspection.flips import Flips

TOLERATED = 0.01
"""Share of the test images with a duplicate in another split, and of all images with one of another class, up to which
metrics are hardly affected."""
LISTED = 10
READ_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class FoundDuplicates:
    """Duplicates among the images of a run.

    Attributes:
        pairs: Rows of training, validation and test images after one another.
        names: The images' names.
        split: Positions in SPLITS, (N,).
        labels: (N,).
    """

    pairs: Duplicates
    names: list[str]
    split: Tensor
    labels: Tensor

    def kinds(self, chosen: Tensor) -> str:
        """Count the exact and near ones of a choice, (M,) booleans."""
        exact = int(self.pairs.exact[chosen].sum())
        return f"{exact:,} exact, {int(chosen.sum()) - exact:,} near"

    def described(self, chosen: Tensor) -> tuple[str, ...]:
        """Name the first few pairs of a choice, (M,) booleans."""
        rows = torch.stack([self.pairs.first, self.pairs.second], dim=1)[chosen][:LISTED].tolist()
        return tuple(f"{self.names[first]} = {self.names[second]}" for first, second in rows)


def duplicates_of(data: ImageDataModule) -> FoundDuplicates:
    """Find exact and near-duplicates within and across splits."""
    splits: list[Split] = [getattr(data, name) for name in SPLITS]
    return FoundDuplicates(
        pairs=find_duplicates(joined([split.images for split in splits])),
        names=[
            f"{name} {data.positions[name][place]}" if split.names is None else split.names[place]
            for name, split in zip(SPLITS, splits, strict=True)
            for place in range(len(split))
        ],
        split=torch.from_numpy(np.repeat(np.arange(len(splits)), [len(split) for split in splits])),
        labels=torch.cat([split.labels.cpu() for split in splits]),
    )


def duplicate_findings(found: FoundDuplicates) -> Iterator[Finding]:
    """Report duplicates and their effect on the metrics."""
    first, second = found.pairs.first, found.pairs.second
    crosses = found.split[first] != found.split[second]
    contradicts = found.labels[first] != found.labels[second]
    reported = contradicts.clone()
    remedy = "`triptych doctor --write-groups FILE.csv` writes a table that keeps them in one split."
    for part, severity, effect in (
        ("test", Severity.ERROR, "Leaked images inflate the test metrics."),
        ("validation", Severity.WARNING, "Leaked images distort the choice of the best epoch."),
    ):
        number = SPLITS.index(part)
        leaks = crosses & (found.split[second] == number)
        reported |= leaks
        leaked, size = len(set(second[leaks].tolist())), int((found.split == number).sum())
        if leaked:
            yield Finding(
                severity if leaked > TOLERATED * size else Severity.NOTE,
                f"leakage into {part}",
                f"{leaked:,} of {size:,} {part} images have a duplicate in another split; pairs: {found.kinds(leaks)}.",
                f"{effect} {remedy}",
                found.described(leaks),
            )
    if contradicts.any():
        count = int(contradicts.sum())
        yield Finding(
            Severity.ERROR if count > TOLERATED * len(found.labels) else Severity.WARNING,
            "contradictory labels",
            f"Duplicates have different labels; pairs: {found.kinds(contradicts)}.",
            "At most one label of each pair is right; correct them.",
            found.described(contradicts),
        )
    if not reported.all():
        yield Finding(
            Severity.NOTE,
            "duplicates",
            f"Images of one split have duplicates in it; pairs: {found.kinds(~reported)}.",
            "They count twice.",
            found.described(~reported),
        )


def content_findings(data: ImageDataModule) -> Iterator[Finding]:
    """Report images without content."""
    _, deviation = data.pixel_statistics()
    if max(deviation) < 1 / 255:
        yield Finding(Severity.ERROR, "no content", "All training images are equal.", "There is nothing to learn.")
        return
    count = sum(int(_is_of_one_colour(data, name).sum()) for name in SPLITS)
    if count:
        yield Finding(
            Severity.WARNING,
            "empty images",
            f"{count:,} {'image has' if count == 1 else 'images have'} a single colour.",
            "They are used for training like all others; remove them if they are errors.",
        )


def flip_findings(flips: Flips) -> Iterator[Finding]:
    """Report that images are flipped, and should not be."""
    if not flips.helpful:
        yield Finding(
            Severity.WARNING,
            "flips",
            f"Training images are flipped horizontally, which may give them another meaning: {flips.reason}.",
            "dataset.augmentation.horizontal_flip: 0 disables flips.",
        )


def _is_of_one_colour(data: ImageDataModule, split: str) -> Tensor:
    """Find the images with equal pixels in every channel, (N,), without the border of `dataset.pad`."""
    pad = data.config.dataset.pad
    inner = slice(pad, -pad or None)
    found = [part[..., inner, inner].flatten(2) for part in parts(getattr(data, split).images, READ_AT_ONCE)]
    return torch.cat([(one.amax(2) == one.amin(2)).all(1) for one in found])
