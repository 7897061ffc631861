"""The names of measured figures: which one a short name means, and whether more of it is better."""

from collections.abc import Collection
from difflib import get_close_matches

from triptych.runs.definitions import DEFINITIONS

MAIN_METRICS = (
    "test.accuracy",
    "val.accuracy",
    "test.map_at_r",
    "holdout.map_at_r",
    "test.macro_f1",
    "test.precision_at_1",
    "test.recall_at_5",
    "test.knn_accuracy",
    "test.nmi",
    "test.ece",
    "test.psnr",
    "test.loss",
)
"""What a table shows first, as far as it has room."""


def higher_is_better(name: str) -> bool | None:
    """Say whether more of a metric is better; None where that depends on what one wants, or is not known.

    Example:
        >>> higher_is_better("test.knn_accuracy"), higher_is_better("val.loss"), higher_is_better("test.kl")
        (True, False, None)
    """
    if name == "train_seconds":
        return False
    definition = DEFINITIONS.get(name.rpartition(".")[2])
    return definition.better == "higher" if definition and definition.better else None


def resolve_metric(name: str, known: Collection[str]) -> str:
    """Find the dotted name that is meant: the test split's where a short name leaves the choice.

    Raises:
        ValueError: No metric in `known` has this name, or several have.

    Example:
        >>> resolve_metric("accuracy", ["val.accuracy", "test.accuracy"])
        'test.accuracy'
    """
    ending = [metric for metric in known if metric == name or metric.endswith(f".{name}")]
    for first in (name, f"test.{name}"):
        if first in ending:
            return first
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise ValueError(f"expected the name of one metric, got {name!r}, which may be {' or '.join(sorted(ending))}")
    short = {metric.rpartition(".")[2]: None for metric in known}
    elsewhere = [metric for metric in known if metric.rpartition(".")[2] == name.rpartition(".")[2]]
    if close := elsewhere or get_close_matches(name.lower(), list(known if "." in name else short), n=3):
        hint = f"Did you mean {' or '.join(close)}?"
    else:
        hint = f"There are {', '.join(short)}." if short else "None was measured yet: see `triptych evaluate`."
    raise ValueError(f"expected a metric that one of the runs has, got {name!r}. {hint}")
