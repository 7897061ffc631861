"""What the pixels themselves tell: images without content, pictures that come twice, and mirror images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import joined, parts
from triptych.inspection.duplicates import CANDIDATES, Duplicates, appearances, find_duplicates
from triptych.inspection.finding import Finding, Severity
from triptych.inspection.flips import advise_flips
from triptych.inspection.mirror import SIDE, mirror_test
from triptych.inspection.strokes import drawn_in_strokes
from triptych.inspection.survey import LOOKED_AT, sample_by_class
from triptych.inspection.thumbnails import thumbnails
from triptych.metrics import nearest_neighbours

SPLITS = ("train", "validation", "test")
COMPARED = 100_000
"""Images up to which each is compared with all others, to find near duplicates."""
TOLERATED = 0.01
"""Share of the test images that may have a copy in another split, and of all that may have one of another label."""
SHOWN = 10
READ_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Copies:
    """Pictures that come twice among a run's images.

    Attributes:
        pairs: Rows of training, validation and test images after one another.
        names: What people call those images.
        split: Positions in SPLITS, (N,).
        labels: (N,).
        compared: Whether near duplicates were looked for.
    """

    pairs: Duplicates
    names: list[str]
    split: Tensor
    labels: Tensor
    compared: bool

    def kinds(self, chosen: Tensor) -> str:
        """Count the exact and the near ones of a choice, (M,) booleans."""
        exact = int(self.pairs.exact[chosen].sum())
        return f"{exact:,} exact, {int(chosen.sum()) - exact:,} near"

    def described(self, chosen: Tensor) -> tuple[str, ...]:
        """Name the first few pairs of a choice, (M,) booleans."""
        rows = torch.stack([self.pairs.first, self.pairs.second], dim=1)[chosen][:SHOWN].tolist()
        return tuple(f"{self.names[first]} = {self.names[second]}" for first, second in rows)


def find_copies(data: ImageDataModule) -> Copies:
    """Look for pictures that come twice, exactly or nearly, within and across splits."""
    splits: list[Split] = [getattr(data, name) for name in SPLITS]
    images = joined([split.images for split in splits])
    compared = len(images) <= COMPARED
    neighbours = None
    if compared:
        neighbours = nearest_neighbours(appearances(images), k=min(CANDIDATES, len(images) - 1)).indices
    names = [
        f"{one} {data.positions[one][place]}" if split.names is None else split.names[place]
        for one, split in zip(SPLITS, splits, strict=True)
        for place in range(len(split))
    ]
    return Copies(
        pairs=find_duplicates(images, neighbours),
        names=names,
        split=torch.from_numpy(np.repeat(np.arange(len(splits)), [len(split) for split in splits])),
        labels=torch.cat([split.labels.cpu() for split in splits]),
        compared=compared,
    )


def copy_findings(copies: Copies) -> Iterator[Finding]:
    """Say which pictures come twice, and what that does to the figures."""
    first, second = copies.pairs.first, copies.pairs.second
    crosses = copies.split[first] != copies.split[second]
    contradicts = copies.labels[first] != copies.labels[second]
    said = contradicts.clone()
    for part, severity, consequence in (
        ("test", Severity.WRONG, "They are recognised and not understood: the test flatters the model."),
        ("validation", Severity.WARNING, "The best epoch is chosen by what was learnt by heart."),
    ):
        number = SPLITS.index(part)
        leaks = crosses & (copies.split[second] == number)
        said |= leaks
        leaked, size = len(set(second[leaks].tolist())), int((copies.split == number).sum())
        if leaked:
            yield Finding(
                severity if leaked > TOLERATED * size else Severity.NOTE,
                f"leaks into {part}",
                f"{leaked:,} of {size:,} {part} images are also in another split; pairs: {copies.kinds(leaks)}.",
                f"{consequence} Remove the copies, or keep them in one split by a table with a column group.",
                copies.described(leaks),
            )
    if contradicts.any():
        count = int(contradicts.sum())
        yield Finding(
            Severity.WRONG if count > TOLERATED * len(copies.labels) else Severity.WARNING,
            "contradictions",
            f"The same picture has different labels; pairs: {copies.kinds(contradicts)}.",
            "At most one of the labels is right; correct them.",
            copies.described(contradicts),
        )
    if not said.all():
        yield Finding(
            Severity.NOTE,
            "copies",
            f"Images of one split are the same picture; pairs: {copies.kinds(~said)}.",
            "They count twice.",
            copies.described(~said),
        )
    if not copies.compared:
        yield Finding(
            Severity.NOTE,
            "near copies",
            f"Among {len(copies.labels):,} images only exact copies were looked for.",
            f"Near ones are looked for among up to {COMPARED:,}.",
        )


def content_findings(config: RunConfig, data: ImageDataModule) -> Iterator[Finding]:
    """Say which images show nothing, and whether mirror images still belong to their classes."""
    _, deviation = data.pixel_statistics()
    if max(deviation) < 1 / 255:
        yield Finding(Severity.WRONG, "no content", "All training images are alike.", "There is nothing to learn from.")
        return
    empty = [_is_of_one_colour(data, name) for name in SPLITS]
    count = sum(int(one.sum()) for one in empty)
    if count:
        yield Finding(
            Severity.WARNING,
            "empty images",
            f"{count:,} images are of one colour.",
            "They are trained on as they are; remove them if they are mistakes.",
        )
    yield from _mirrored(config, data)


def _is_of_one_colour(data: ImageDataModule, split: str) -> Tensor:
    """Tell which images have equal pixels in every channel, (N,); their border from `dataset.pad` apart."""
    pad = data.config.dataset.pad
    inner = slice(pad, -pad or None)
    found = [part[..., inner, inner].flatten(2) for part in parts(getattr(data, split).images, READ_AT_ONCE)]
    return torch.cat([(one.amax(2) == one.amin(2)).all(1) for one in found])


def _mirrored(config: RunConfig, data: ImageDataModule) -> Iterator[Finding]:
    if not config.dataset.augmentation.horizontal_flip:
        return
    sample = torch.tensor(sample_by_class(data.train.labels.cpu(), LOOKED_AT))
    small = thumbnails(data.train.select(sample).images, longest=SIDE).float()
    grey = torch.nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear").mean(1).numpy()
    labels = data.train.labels.cpu()[sample].numpy()
    advice = advise_flips(data.classes, mirror_test(grey, labels), drawn=drawn_in_strokes(grey))
    if not advice.helpful:
        yield Finding(
            Severity.WARNING,
            "flips",
            f"Training images are mirrored, and should not be: {advice.reason}.",
            "dataset.augmentation.horizontal_flip: 0 leaves them as they are.",
        )
