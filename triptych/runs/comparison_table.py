"""Comparison of two runs for a terminal: descriptions, config differences, and metrics in words."""

from collections.abc import Mapping
from dataclasses import asdict
from math import floor, log10
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from triptych.metrics.intervals import LEVEL, Interval, mcnemar
from triptych.runs.comparison import Comparison, Figure
from triptych.runs.records import RunRecord, differing_keys, shown_value
from triptych.runs.run_table import duration
from triptych.text import terminal_text

LONGEST = 10_000
"""A width that exceeds every line of the table."""


def run_sides(a: RunRecord, b: RunRecord) -> Table:
    """Lay out the descriptions of the two runs and the differences of their configs."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for letter, record in (("A", a), ("B", b)):
        table.add_column(f"{letter}: {_cell_text(record.folders.name)}", overflow="fold")
    facts = [_facts(record) for record in (a, b)]
    for name in facts[0]:
        table.add_row(name, *(_cell_text(fact[name]) for fact in facts))
    if not (a.config and b.config):
        table.add_row("config", *("-" if record.config else "cannot be read" for record in (a, b)))
        return table
    differing = differing_keys([a.config, b.config])
    for key, values in differing.items():
        table.add_row(_cell_text(key), *(_cell_text(shown_value(value)) for value in values))
    if not differing:
        table.add_row("config", "the same", "the same")
    return table


def figure_table(comparison: Comparison, *, width: int) -> Table:
    """Lay out the metrics with intervals, and the differences in words: one line per metric, or two if necessary."""
    on_one_line = _figures(comparison, is_wide=True)
    needed = Console(width=LONGEST).measure(on_one_line).maximum
    return on_one_line if needed <= width else _figures(comparison, is_wide=False)


def _figures(comparison: Comparison, *, is_wide: bool) -> Table:
    """Lay out the metrics: intervals next to them and words in a separate column, or both below."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", no_wrap=is_wide)
    for header in ("A", "B", "B - A"):
        table.add_column(header, justify="right", no_wrap=True)
    if is_wide:
        table.add_column("in words")
    between = "  " if is_wide else "\n"
    for figure in comparison.figures:
        decimals = max(_decimals(figure.a), _decimals(figure.b))
        cells = (_cell(one, decimals, between) for one in (figure.a, figure.b))
        difference = _cell(figure.difference, _decimals(figure.difference), between, sign="+")
        name, words = _cell_text(figure.name), _words(figure)
        if is_wide:
            table.add_row(name, *cells, difference, words)
        else:
            table.add_row(f"{name}\n{words}", *cells, difference)
    return table


def remarks(comparison: Comparison, *, split: str) -> list[str]:
    """Return explanations of the intervals and their limits."""
    images_a, images_b = comparison.images
    if comparison.paired:
        measured = f"of the {images_a:,} {split} images, the same for A and B (paired)."
    else:
        measured = (
            f"of the {split} images, {images_a:,} for A and {images_b:,} for B. These are not known to be the same "
            "images, so that the difference has the noise of both."
        )
    notes = [
        f"Each figure has its {LEVEL:.0%} interval over samples {measured} Between equal models, one figure in twenty "
        "still lies outside the noise."
    ]
    if comparison.only_right is not None:
        only_a, only_b = comparison.only_right
        notes.append(
            f"Classified correctly by A alone: {only_a:,} images; by B alone: {only_b:,} (McNemar's exact test: p = "
            f"{mcnemar(only_a, only_b):.2g})."
        )
    notes.append(
        "The intervals cover the noise of the images, not that of training: another seed gives another model. Train "
        "both configs with several seeds before you call one of them better."
    )
    return notes


def _cell_text(text: str) -> str:
    return escape(terminal_text(text))


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
    """Choose the number of decimals of a metric: enough for two digits of its interval's width."""
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
    """Return the comparison of two runs; each metric has its intervals, the difference, and the conclusion.

    The differences of the configs are null if one of the two cannot be read.
    """
    figures = {
        figure.name: {
            "a": asdict(figure.a) if figure.a else None,
            "b": asdict(figure.b) if figure.b else None,
            "difference": asdict(figure.difference) if figure.difference else None,
            "p_value": figure.p_value,
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
        "config": differing_keys([a.config, b.config]) if a.config and b.config else None,
        "figures": figures,
    }
