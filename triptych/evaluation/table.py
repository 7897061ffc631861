"""The figures of an evaluation as a terminal shows them: name, value and meaning, beside what simple methods reach."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from triptych.evaluation.evaluate import Evaluation
from triptych.runs.definitions import DEFINITIONS

BASELINES = {
    "pixels_1nn": "1-NN on raw pixels",
    "pca_1nn": "1-NN on PCA of the pixels",
    "linear_classifier": "linear classifier on pixels",
    "pca_mse": "reconstruction by PCA, MSE",
}


def figures_table(evaluation: Evaluation, *, title: str) -> Table:
    """Lay out every scalar figure of a split, those of held-out classes, and the baselines."""
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it is", style="dim")
    for name, definition in DEFINITIONS.items():
        if name in evaluation.figures:
            table.add_row(definition.title, shown(evaluation.figures[name]), definition.meaning)
    if evaluation.holdout_figures:
        table.add_section()
        for name, value in evaluation.holdout_figures.items():
            definition = DEFINITIONS[name]
            table.add_row(definition.title, shown(value), f"classes never trained on: {definition.meaning}")
    table.add_section()
    for name, value in evaluation.baselines.items():
        table.add_row(BASELINES[name], shown(value), "without learning an embedding")
    return table


def shown(value: float | int) -> str:
    """Write a number with the digits that matter.

    Example:
        >>> [shown(number) for number in (0.98951, 32, 0.00123, 154.27, -512.3)]
        ['0.9895', '32', '0.00123', '154.3', '-512.3']
    """
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"


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
