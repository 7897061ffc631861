"""What the tables of runs say, as plain values that JSON can hold: for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from triptych.runs.comparison import Comparison
from triptych.runs.differences import differing_keys
from triptych.runs.records import RunRecord
from triptych.runs.run_table import config_differences


def json_of_runs(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return one object a run, in the order of the records."""
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
