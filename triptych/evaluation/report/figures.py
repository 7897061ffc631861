"""Every figure of an evaluation with its one-line meaning: for the table on the page, and for TensorBoard's."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from triptych.evaluation.table import BASELINES, shown
from triptych.runs.definitions import DEFINITIONS


class FigureRow(NamedTuple):
    """A line of the table."""

    title: str
    value: str
    meaning: str


def figure_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    """Name, write and explain all figures that are single numbers, in the order of their definitions.

    Example:
        >>> figure_rows({"kl_per_dimension": [0.1, 0.2], "recall_at_5": 0.5, "accuracy": 0.25})[0]
        FigureRow(title='accuracy', value='0.2500', meaning='share of images whose class is predicted')
    """
    return [
        FigureRow(definition.title, shown(figures[name]), definition.meaning)
        for name, definition in DEFINITIONS.items()
        if name in figures
    ]


def baseline_rows(baselines: Mapping[str, float]) -> list[FigureRow]:
    """The same for the simple methods."""
    return [
        FigureRow(BASELINES[name], shown(value), "without learning an embedding") for name, value in baselines.items()
    ]
