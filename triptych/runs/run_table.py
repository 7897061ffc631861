"""The table of runs for a terminal: two lines per run, as many metrics as fit, and config differences."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from triptych.runs.definitions import MAIN_METRICS, higher_is_better
from triptych.runs.records import RunRecord, differing_keys, short_key, shown_value
from triptych.text import terminal_text

METRIC_WIDTH = 8
GAP = 2
NOTE_WIDTHS = (20, 60)
"""Minimum width of the differences, and their preferred width before more than two metrics are shown."""
STYLES = {"finished": "green", "running": "cyan", "stopped": "yellow", "damaged": "red"}
HEADER = ("run\nbegan", "state", "epochs\ntime")


def sorted_records(records: Sequence[RunRecord], metric: str, *, ascending: bool | None = None) -> list[RunRecord]:
    """Sort by a metric; runs without it come last, in their original order.

    Args:
        records: The runs.
        metric: A dotted name.
        ascending: Whether the lowest comes first; None: the best first, or the highest if neither is better.
    """
    if ascending is None:
        ascending = higher_is_better(metric) is False
    having = sorted(
        (record for record in records if metric in record.metrics),
        key=lambda record: record.metrics[metric],
        reverse=not ascending,
    )
    return having + [record for record in records if metric not in record.metrics]


def config_differences(records: Sequence[RunRecord]) -> dict[str, dict[str, Any]]:
    """Return the config values that are not common to all runs on the data set, by run name."""
    found: dict[str, dict[str, Any]] = {record.folders.name: {} for record in records}
    readable = sorted((record for record in records if record.config), key=_dataset)
    for _, group in groupby(readable, _dataset):
        runs = list(group)
        for key, values in differing_keys([run.config for run in runs]).items():
            for run, value in zip(runs, values, strict=True):
                found[run.folders.name][key] = value
    return found


def run_table(records: Sequence[RunRecord], *, width: int, first: str | None = None) -> Table:
    """Lay out the runs.

    Args:
        records: The runs, at least one, in the order of the rows.
        width: Width of the terminal in columns.
        first: A metric to show first: the one by which the runs are sorted.
    """
    rows = [_cells(record) for record in records]
    differences = config_differences(records)
    notes = [_note(record, differences[record.folders.name]) for record in records]
    widths = [max(map(_width, column)) for column in zip(HEADER, *rows, strict=True)]
    room, metrics = width - sum(widths) - GAP * len(widths), _metrics(records, first)
    beside_two_metrics = room - sum(map(_column_width, metrics[:2]))
    for_notes = min(max(map(len, notes)), max(NOTE_WIDTHS[0], min(NOTE_WIDTHS[1], beside_two_metrics)))
    metrics = _fitting(metrics, room - for_notes)

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for header in HEADER:
        table.add_column(header, no_wrap=True)
    for metric in metrics:
        table.add_column(escape(_header(metric)), justify="right", no_wrap=True, min_width=METRIC_WIDTH)
    if any(notes):
        table.add_column("differences", overflow="fold")
    for record, (name, state, epochs), note in zip(records, rows, notes, strict=True):
        values = [figure_text(record.metrics.get(metric)) for metric in metrics]
        cells = (escape(name), f"[{STYLES[state]}]{state}[/]", escape(epochs), *values)
        table.add_row(*cells, *([escape(note)] if any(notes) else []))
    return table


def figure_text(value: float | None) -> str:
    """Format a metric with four decimals, or two if it is large; a dash if it is missing.

    Example:
        >>> figure_text(0.97222), figure_text(210.7646), figure_text(None)
        ('0.9722', '210.76', '-')
    """
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Format a duration.

    Example:
        >>> duration(27.7), duration(815), duration(8000)
        ('28s', '13m 35s', '2h 13m')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_rest = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes_rest:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def _dataset(record: RunRecord) -> str:
    return record.folders.dataset


def _cells(record: RunRecord) -> tuple[str, str, str]:
    metrics, planned = record.metrics, record.config.get("training.epochs", "?")
    done = f"{metrics['epochs']:.0f}" if "epochs" in metrics else "-"
    seconds = duration(metrics["train_seconds"]) if "train_seconds" in metrics else "-"
    name = terminal_text(record.folders.name)
    epochs = terminal_text(f"{done}/{planned}")
    return f"{name}\n{record.began:%Y-%m-%d %H:%M}", record.state, f"{epochs}\n{seconds}"


def _note(record: RunRecord, differences: Mapping[str, Any]) -> str:
    problems = [f"{file} cannot be read" for file in record.problems]
    values = [f"{short_key(key)} {shown_value(value)}" for key, value in differences.items()]
    return terminal_text(", ".join([*problems, *values]))


def _metrics(records: Sequence[RunRecord], first: str | None) -> list[str]:
    """Return the metrics of the splits that any run has, important ones first."""
    measured = {name: None for record in records for name in record.metrics if "." in name}
    wanted = [name for name in (first, *MAIN_METRICS) if name in measured]
    return [name for name in {**dict.fromkeys(wanted), **measured} if name is not None]


def _fitting(metrics: Sequence[str], room: int) -> list[str]:
    """Return the metrics that fit, always including the first."""
    fitting: list[str] = []
    for metric in metrics:
        room -= _column_width(metric)
        if fitting and room < 0:
            break
        fitting.append(metric)
    return fitting


def _header(metric: str) -> str:
    """Return the header of a metric's column: the split above the name."""
    return "\n".join(map(terminal_text, metric.split(".")))


def _column_width(metric: str) -> int:
    return max(METRIC_WIDTH, _width(_header(metric))) + GAP


def _width(cell: str) -> int:
    return max(map(len, cell.splitlines()))


def json_of_runs(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return one object per run, in the order of the records."""
    differences = config_differences(records)
    return [
        {
            "run": record.folders.name,
            "dataset": record.folders.dataset,
            "version": record.folders.version,
            "folder": str(record.folders.version_folder),
            "began": record.began.isoformat(timespec="seconds"),
            "state": record.state,
            "metrics": dict(record.metrics),
            "best_checkpoint": record.best_checkpoint,
            "differs": differences[record.folders.name],
            "problems": dict(record.problems),
        }
        for record in records
    ]
