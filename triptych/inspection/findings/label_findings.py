"""Findings from labels alone, without pixels: fast enough for the start of every run.

Letters: K classes.
"""

import unicodedata
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.listing import listed
from triptych.data.module import ImageDataModule
from triptych.errors import ConfigError
from triptych.inspection.findings.finding import Finding, Severity

IMBALANCED = 10
"""Ratio of the largest to the smallest class from which on rare classes are likely to be ignored."""
PAIRED = 0.5
"""Share of a batch's images below which too few have another image of their class in it."""
FEW = 50
"""Images below which an accuracy is only a rough estimate."""


def label_findings(config: RunConfig, data: ImageDataModule) -> list[Finding]:
    """Report problems of class sizes: rare classes, classes without positives, small splits, batches without pairs."""
    counts = {name: class_counts(data, name) for name in ("train", "validation", "test")}
    return [
        *_batches(config, data, counts["train"]),
        *_single(config, data.classes, counts["train"]),
        *_spellings([*data.classes, *data.holdout_classes]),
        *_unmeasured(data.classes, counts),
        *_imbalance(config, data.classes, counts["train"]),
        *_small(counts),
    ]


def class_counts(data: ImageDataModule, split: str) -> Tensor:
    """Count the images of each class in a split, (K,)."""
    labels: Tensor = getattr(data, split).labels
    return torch.bincount(labels.cpu(), minlength=len(data.classes))


def _batches(config: RunConfig, data: ImageDataModule, counts: Tensor) -> Iterator[Finding]:
    """Check whether batches can be formed as configured, and whether triplets can be mined in them."""
    try:
        data.train_dataloader()
    except ConfigError as error:
        yield Finding(Severity.ERROR, "batches", str(error), "Training stops before the first step.")
        return
    dataset, training = config.dataset, config.training
    if training.triplet_mining == "random" or dataset.sampling == "pk" or not _uses_triplets(config):
        return
    shares = torch.ones_like(counts) / len(counts) if dataset.sampling == "class_balanced" else counts / counts.sum()
    batch_size = min(dataset.batch_size, int(counts.sum()))
    paired = float((shares * (1 - (1 - shares) ** (batch_size - 1))).sum())
    if paired < PAIRED:
        yield Finding(
            Severity.WARNING,
            "pairs",
            f"Only {paired:.0%} of the images of a batch of {batch_size} have another image of their class in it.",
            "The triplet loss uses only these; dataset.sampling: pk gives every image positives.",
        )


def _single(config: RunConfig, classes: Sequence[str], counts: Tensor) -> Iterator[Finding]:
    """Find the classes without positives: with none at all, the triplet loss has no gradient."""
    single = _named(classes, counts == 1)
    if not single or not _uses_triplets(config):
        return
    if len(single) == len(classes):
        yield Finding(
            Severity.ERROR,
            "single images",
            "No class has two training images, so that there is no triplet to train on.",
            "Add images, hold out fewer (dataset.validation_fraction, dataset.test_fraction), or train without the "
            "triplet loss (training.triplet_weight: 0).",
            single[:10],
        )
        return
    yield Finding(
        Severity.WARNING,
        "single images",
        f"{_classes(single)} a single training image.",
        "Without a positive it is never an anchor: it only serves as a negative and for classification. Add images.",
        single[:10],
    )


def _uses_triplets(config: RunConfig) -> bool:
    return config.training.loss_weights().get("triplet", 0) > 0


def _spellings(classes: Sequence[str]) -> Iterator[Finding]:
    """Find class names that differ only in case, spaces or the encoding of accents."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("-", " ").split())
        groups.setdefault(key, []).append(name)
    alike = tuple(" = ".join(map(repr, names)) for names in groups.values() if len(names) > 1)
    if alike:
        yield Finding(
            Severity.WARNING,
            "class names",
            f"Class names differ only in case, spaces or accents: {listed(alike)}.",
            "They are separate classes; if they are meant to be one, rename them.",
            alike[:10],
        )


def _unmeasured(classes: Sequence[str], counts: dict[str, Tensor]) -> Iterator[Finding]:
    for name in ("validation", "test"):
        missing = _named(classes, counts[name] == 0)
        if missing:
            yield Finding(
                Severity.WARNING if name == "test" else Severity.NOTE,
                f"no {name} images",
                f"{_classes(missing)} no {name} images.",
                "Metrics do not include them."
                if name == "test"
                else "They do not influence the choice of the best epoch.",
                missing[:10],
            )


def _imbalance(config: RunConfig, classes: Sequence[str], counts: Tensor) -> Iterator[Finding]:
    ratio = float(counts.max() / counts.min())
    if ratio < IMBALANCED:
        return
    largest, smallest = classes[int(counts.argmax())], classes[int(counts.argmin())]
    text = (
        f"The largest class, {largest} ({int(counts.max()):,} images), has {ratio:,.0f} times as many images as the "
        f"smallest, {smallest} ({int(counts.min()):,})."
    )
    sampling = config.dataset.sampling
    if sampling == "shuffle":
        remedy = "Rare classes are likely to be ignored; dataset.sampling: class_balanced draws them more often."
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
                f"There are {size} {name} images: accuracy changes in steps of {1 / size:.1%}.",
                f"Differences of a few steps are not significant; increase dataset.{name}_fraction.",
            )


def _named(classes: Sequence[str], chosen: Tensor) -> tuple[str, ...]:
    return tuple(classes[label] for label in chosen.nonzero()[:, 0].tolist())


def _classes(names: Sequence[str]) -> str:
    """Begin a sentence about some classes."""
    return f"The class {names[0]} has" if len(names) == 1 else f"{len(names):,} classes ({listed(names)}) have"
