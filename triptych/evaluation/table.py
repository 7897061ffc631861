"""The figures of an evaluation as rows of a table, with intervals, for the terminal, the report and TensorBoard."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from triptych.evaluation.measuring.measured import Evaluation
from triptych.runs.definitions import DEFINITIONS
from triptych.text import terminal_text

BASELINES = {
    "pixels_1nn": "1-NN on raw pixels",
    "pca_1nn": "1-NN on PCA of the pixels",
    "linear_classifier": "linear classifier on pixels",
    "pca_mse": "reconstruction MSE of PCA",
}

HOLDOUT = {
    "full_gallery": "searched among the training classes too",
    "chance": "chance: one embedding for all images",
    "pixels": "raw pixels, by Euclidean distance",
}
"""Comparisons for the metrics of held-out classes."""


class FigureRow(NamedTuple):
    """A line of the table."""

    title: str
    value: str
    interval: str
    meaning: str


def figure_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    """Return title, value and meaning of all scalar metrics, in the order of their definitions.

    Example:
        >>> figure_rows({"kl_per_dimension": [0.1], "accuracy": 0.25, "intervals": {"accuracy": [0.2, 0.3]}})
        [FigureRow(title='accuracy', value='0.2500', interval='0.2000..0.3000', meaning='share of images ...')]
    """
    bounds = figures.get("intervals", {})
    return [
        FigureRow(definition.title, shown(figures[name]), _range(bounds.get(name)), definition.meaning)
        for name, definition in DEFINITIONS.items()
        if name in figures
    ]


def baseline_rows(baselines: Mapping[str, float]) -> list[FigureRow]:
    """The same for the simple methods."""
    return [FigureRow(BASELINES[name], shown(value), "", "no learned embedding") for name, value in baselines.items()]


def holdout_rows(holdout: Mapping[str, Any]) -> list[FigureRow]:
    """The same for retrieval among held-out classes, with chance, raw pixels and the full gallery beside it."""
    found = {"": holdout, **{beside: holdout[beside] for beside in HOLDOUT if beside in holdout}}
    return [
        FigureRow(
            definition.title,
            shown(figures[name]),
            _range(figures.get("intervals", {}).get(name)),
            HOLDOUT.get(beside) or f"held-out classes: {definition.meaning}",
        )
        for name, definition in DEFINITIONS.items()
        for beside, figures in found.items()
        if isinstance(figures.get(name), int | float) and (not beside or name in ("precision_at_1", "map_at_r"))
    ]


def figures_table(evaluation: Evaluation, *, title: str) -> Table:
    """Lay out every scalar figure of a split, those of held-out classes, and the baselines, for a terminal."""
    table = Table(title=escape(terminal_text(title)), box=SIMPLE_HEAD, title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True, style="dim")
    table.add_column("meaning", style="dim")
    sections = (
        figure_rows(evaluation.figures),
        holdout_rows(evaluation.holdout),
        baseline_rows(evaluation.baselines.figures),
    )
    for rows in sections:
        for row in rows:
            table.add_row(*row)
        table.add_section()
    return table


def shown(value: float | int) -> str:
    """Format a number with its significant digits; NaN, such as for too few images, is n/a.

    Example:
        >>> [shown(number) for number in (0.98951, 32, 0.00123, 154.27, -512.3, math.nan)]
        ['0.9895', '32', '0.00123', '154.3', '-512.3', 'n/a']
    """
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "n/a"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else three_digits(value)


def three_digits(value: float) -> str:
    """Format a number with three significant digits, without an exponent unless it is very small.

    Example:
        >>> [three_digits(number) for number in (0.001234, 0.5, 12.345, 3e-9, 0.0)]
        ['0.00123', '0.500', '12.3', '3.00e-09', '0']
    """
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _range(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{shown(float(bounds[0]))}..{shown(float(bounds[1]))}"
