"""Held-out classes: removed from the data before training, for an unbiased test of retrieval."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.errors import ConfigError


class Partition(NamedTuple):
    """A split, divided into the classes of training and the held-out classes."""

    known: Split
    """Labels are positions among the remaining class names."""
    held_out: Split
    """Labels are positions among the held-out class names."""


def held_out_labels(wanted: Sequence[int | str], classes: Sequence[str]) -> list[int]:
    """Find the labels, ascending, of the classes that a config holds out, by name or by number.

    Names take precedence: in a data set with the classes "0" to "9" both mean the same.

    Raises:
        ConfigError: There is no such class, a class is given twice, only one is held out, or fewer than two remain.

    Example:
        >>> held_out_labels([2, "cat"], ["ant", "bee", "cow", "cat", "dog"])
        [2, 3]
    """
    numbers = {name: number for number, name in enumerate(classes)}
    labels = []
    for one in wanted:
        label = numbers.get(str(one), one)
        if not (isinstance(label, int) and 0 <= label < len(classes)):
            raise ConfigError(
                f"evaluation.holdout_classes: expected names or numbers among {_listed(classes)}; got {one!r}"
            )
        labels.append(label)
    if len(set(labels)) < len(labels):
        raise ConfigError(f"evaluation.holdout_classes: expected every class once; got {list(wanted)}")
    if len(labels) == 1:
        raise ConfigError(
            f"evaluation.holdout_classes: expected at least two classes, which retrieval among them has to separate, "
            f"or none; got {list(wanted)}"
        )
    if labels and len(classes) - len(labels) < 2:
        raise ConfigError(
            f"evaluation.holdout_classes: expected at least two of the {len(classes)} classes to remain for training; "
            f"got {list(wanted)}"
        )
    return sorted(labels)


def hold_out(split: Split, labels: Sequence[int], *, num_classes: int) -> Partition:
    """Separate the images of the classes `labels` from a split, and renumber the classes of both parts in order.

    Without labels, the known part is the split itself.
    """
    if not labels:
        return Partition(split, Split(split.images[:0], split.labels[:0]))
    is_held = torch.zeros(num_classes, dtype=torch.bool)
    is_held[list(labels)] = True
    number = torch.where(is_held, is_held.cumsum(0), (~is_held).cumsum(0)) - 1
    chosen = is_held[split.labels]
    return Partition(_part(split, ~chosen, number), _part(split, chosen, number))


def _part(split: Split, chosen: Tensor, number: Tensor) -> Split:
    part = split.select(chosen)
    return replace(part, labels=number[part.labels])


def _listed(classes: Sequence[str]) -> str:
    shown = ", ".join(f"{number} ({name})" if str(number) != name else name for number, name in enumerate(classes[:12]))
    return f"{shown} and {len(classes) - 12} more" if len(classes) > 12 else shown
