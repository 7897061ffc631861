"""What labels alone tell, without a look at any pixel: cheap enough for the start of every run.

Letters: K classes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.listing import listed
from triptych.data.module import ImageDataModule
from triptych.errors import ConfigError
from triptych.inspection.finding import Finding, Severity

UNEVEN = 10
"""Times that the largest class is larger than the smallest, from which on rare classes are likely to be overlooked."""
PAIRED = 0.5
"""Share of a batch's images that should have another one of their class in it."""
FEW = 50
"""Images below which an accuracy is a rough figure."""


def label_findings(config: RunConfig, data: ImageDataModule) -> list[Finding]:
    """Say what is wrong or odd about numbers of images: rare classes, small splits, batches without pairs."""
    counts = {name: class_counts(data, name) for name in ("train", "validation", "test")}
    return [
        *_batches(config, data, counts["train"]),
        *_single(data.classes, counts["train"]),
        *_unmeasured(data.classes, counts),
        *_imbalance(config, data.classes, counts["train"]),
        *_small(counts),
    ]


def class_counts(data: ImageDataModule, split: str) -> Tensor:
    """Count the images of each class in a split, (K,)."""
    labels: Tensor = getattr(data, split).labels
    return torch.bincount(labels.cpu(), minlength=len(data.classes))


def _batches(config: RunConfig, data: ImageDataModule, counts: Tensor) -> Iterator[Finding]:
    """See whether batches can be formed as the config asks, and whether triplets can be mined in them."""
    try:
        data.train_dataloader()
    except ConfigError as error:
        yield Finding(Severity.WRONG, "batches", str(error), "Training refuses to begin.")
        return
    dataset, training = config.dataset, config.training
    if training.triplet_mining == "random" or dataset.sampling == "pk":
        return
    shares = torch.ones_like(counts) / len(counts) if dataset.sampling == "class_balanced" else counts / counts.sum()
    batch_size = min(dataset.batch_size, int(counts.sum()))
    paired = float((shares * (1 - (1 - shares) ** (batch_size - 1))).sum())
    if paired < PAIRED:
        yield Finding(
            Severity.WARNING,
            "pairs",
            f"Only {paired:.0%} of the images of a batch of {batch_size} have another one of their class in it.",
            "The triplet loss learns from these alone; dataset.sampling: pk gives every image its positives.",
        )


def _single(classes: Sequence[str], counts: Tensor) -> Iterator[Finding]:
    single = _named(classes, counts == 1)
    if single:
        yield Finding(
            Severity.WARNING,
            "single images",
            f"{_classes(single)} one image for training.",
            "It serves as a negative and to name the class; without a positive it is no anchor. Add images.",
            single[:10],
        )


def _unmeasured(classes: Sequence[str], counts: dict[str, Tensor]) -> Iterator[Finding]:
    for name in ("validation", "test"):
        missing = _named(classes, counts[name] == 0)
        if missing:
            yield Finding(
                Severity.WARNING if name == "test" else Severity.NOTE,
                f"no {name} images",
                f"{_classes(missing)} no {name} images.",
                "What is said of the model does not speak of them."
                if name == "test"
                else "The best epoch is chosen without them.",
                missing[:10],
            )


def _imbalance(config: RunConfig, classes: Sequence[str], counts: Tensor) -> Iterator[Finding]:
    ratio = float(counts.max() / counts.min())
    if ratio < UNEVEN:
        return
    largest, smallest = classes[int(counts.argmax())], classes[int(counts.argmin())]
    text = (
        f"The largest class, {largest} ({int(counts.max()):,} images), has {ratio:,.0f} times as many images as the "
        f"smallest, {smallest} ({int(counts.min()):,})."
    )
    sampling = config.dataset.sampling
    if sampling == "shuffle":
        remedy = "Rare classes are likely to be overlooked; dataset.sampling: class_balanced draws them more often."
        yield Finding(Severity.WARNING, "imbalance", text, remedy)
    else:
        yield Finding(Severity.NOTE, "imbalance", text, f"dataset.sampling: {sampling} draws rare classes more often.")


def _small(counts: dict[str, Tensor]) -> Iterator[Finding]:
    for name in ("validation", "test"):
        size = int(counts[name].sum())
        if size < FEW:
            yield Finding(
                Severity.NOTE,
                f"few {name} images",
                f"There are {size} {name} images: their accuracy moves in steps of {1 / size:.1%}.",
                f"Differences of a few steps mean little; a larger dataset.{name}_fraction tells more.",
            )


def _named(classes: Sequence[str], chosen: Tensor) -> tuple[str, ...]:
    return tuple(classes[label] for label in chosen.nonzero()[:, 0].tolist())


def _classes(names: Sequence[str]) -> str:
    """Begin a sentence about some classes."""
    return f"The class {names[0]} has" if len(names) == 1 else f"{len(names):,} classes ({listed(names)}) have"
