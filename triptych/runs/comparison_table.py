"""Two runs side by side for a terminal: what they are, how they differ, and what the figures say in words."""

from collections.abc import Mapping
from dataclasses import asdict
from math import floor, log10
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from triptych.runs.bootstrap import LEVEL, Interval
from triptych.runs.comparison import Comparison, Figure
from triptych.runs.records import RunRecord, differing_keys, shown_value
from triptych.runs.run_table import duration

WIDE = 110
"""Columns from which on a figure and its interval stand on one line."""
FEW = 10
"""Images below which the percentiles of the bootstrap are too sure of themselves."""


def run_sides(a: RunRecord, b: RunRecord) -> Table:
    """Lay out what the two runs are, and the values in which their configs differ."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for letter, record in (("A", a), ("B", b)):
        table.add_column(f"{letter}: {escape(record.folders.name)}", overflow="fold")
    facts = [_facts(record) for record in (a, b)]
    for name in facts[0]:
        table.add_row(name, *(escape(fact[name]) for fact in facts))
    if not (a.config and b.config):
        table.add_row("config", *("-" if record.config else "cannot be read" for record in (a, b)))
        return table
    differing = differing_keys([a.config, b.config])
    for key, values in differing.items():
        table.add_row(escape(key), *(escape(shown_value(value)) for value in values))
    if not differing:
        table.add_row("config", "the same", "the same")
    return table


def figure_table(comparison: Comparison, *, width: int) -> Table:
    """Lay out the figures, each with its interval, and the difference in words.

    Args:
        comparison: The two runs.
        width: Columns of the terminal.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for header in ("A", "B", "B - A"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("in words")
    between = "  " if width >= WIDE else "\n"
    for figure in comparison.figures:
        decimals = max(_decimals(figure.a), _decimals(figure.b))
        cells = (_cell(one, decimals, between) for one in (figure.a, figure.b))
        difference = _cell(figure.difference, _decimals(figure.difference), between, sign="+")
        table.add_row(escape(figure.name), *cells, difference, _words(figure))
    return table


def remarks(comparison: Comparison, *, split: str) -> list[str]:
    """Return what has to be known to read the figures rightly: what the intervals are, and what they leave out."""
    images_a, images_b = comparison.images
    said = [f"Each figure has its {LEVEL:.0%} interval, from {comparison.resamples:,} bootstrap resamples of"]
    if comparison.paired:
        said[0] += f" the {images_a:,} {split} images, the same for A and B (paired)."
    else:
        said[0] += (
            f" the {split} images, {images_a:,} for A and {images_b:,} for B. These are not known to be the same "
            "images, so that the difference carries the noise of both."
        )
    said[0] += " Between equal models, one figure in twenty still falls outside the noise."
    if comparison.only_right is not None:
        only_a, only_b = comparison.only_right
        said.append(f"Named rightly by A alone: {only_a:,} images; by B alone: {only_b:,}.")
        if only_a + only_b < FEW:
            said[-1] += " So few do not tell two accuracies apart, whatever the interval says."
    said.append(
        "The intervals cover the noise of the images, not that of training: another seed gives another model. Before "
        "one config is called better than another, train both with several seeds."
    )
    return said


def _facts(record: RunRecord) -> Mapping[str, str]:
    metrics = record.metrics
    return {
        "began": f"{record.began:%Y-%m-%d %H:%M}",
        "state": record.state,
        "checkpoint": record.best_checkpoint or "-",
        "epochs": f"{metrics['epochs']:.0f}" if "epochs" in metrics else "-",
        "time": duration(metrics["train_seconds"]) if "train_seconds" in metrics else "-",
    }


def _decimals(interval: Interval | None) -> int:
    """Choose how many decimals a figure has: enough for two digits of its interval's width."""
    if interval is None:
        return 0
    usual, width = 4 if abs(interval.estimate) < 10 else 2, interval.high - interval.low
    return min(8, max(usual, 1 - floor(log10(width)))) if width > 0 else usual


def _cell(interval: Interval | None, decimals: int, between: str, *, sign: str = "") -> str:
    if interval is None:
        return "-"
    estimate, low, high = (f"{value:{sign}.{decimals}f}" for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate}{between}[dim]{low}..{high}[/dim]"


def _words(figure: Figure) -> str:
    if figure.difference is None:
        return "only in A" if figure.b is None else "only in B"
    if figure.inside_noise:
        return "[dim]inside the noise[/dim]"
    if figure.better is None:
        return f"{'B' if figure.difference.estimate > 0 else 'A'} is higher"
    return f"[bold]{figure.better.upper()} is better[/bold]"


def json_of_comparison(a: RunRecord, b: RunRecord, comparison: Comparison, *, split: str) -> dict[str, Any]:
    """Return two runs side by side; each figure has its interval, the difference, and what follows from it.

    The values in which the configs differ are null where one of the two cannot be read.
    """
    figures = {
        figure.name: {
            "a": asdict(figure.a) if figure.a else None,
            "b": asdict(figure.b) if figure.b else None,
            "difference": asdict(figure.difference) if figure.difference else None,
            "inside_noise": figure.inside_noise,
            "better": figure.better,
        }
        for figure in comparison.figures
    }
    return {
        "a": a.folders.name,
        "b": b.folders.name,
        "split": split,
        "images": list(comparison.images),
        "paired": comparison.paired,
        "only_right": list(comparison.only_right) if comparison.only_right else None,
        "resamples": comparison.resamples,
        "config": differing_keys([a.config, b.config]) if a.config and b.config else None,
        "figures": figures,
    }
