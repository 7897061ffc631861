"""The files of a run, read so that a damaged one does not break a table: its problem is part of the record."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from triptych.config.combinations import flat_values
from triptych.config.document import NotYamlError, read_document
from triptych.config.hints import known_keys
from triptych.config.report import key_name
from triptych.errors import DataError
from triptych.files import read_start
from triptych.runs.folders import RunFolders
from triptych.runs.metrics_file import read_metrics

LARGEST = 1 << 20
"""Maximum size of a config in bytes."""

State = Literal["finished", "running", "stopped", "damaged"]


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        folders: Its output folders.
        began: When its training started or was last resumed.
        state: "running" while a process trains it; then "finished" if training finished and wrote its metrics,
            "stopped" if it did not, "damaged" if its metrics cannot be read.
        config: Its config by dotted keys; empty if it cannot be read.
        metrics: Its metrics by dotted names, such as "test.accuracy", including "epochs" and "train_seconds".
        best_checkpoint: The file name of the evaluated checkpoint, if any.
        problems: The errors of unreadable files, by file name.
    """

    folders: RunFolders
    began: datetime
    state: State
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    best_checkpoint: str | None
    problems: Mapping[str, str]


def read_record(folders: RunFolders) -> RunRecord:
    """Read the files of a run; invalid files do not raise an error."""
    problems: dict[str, str] = {}
    metrics = _metrics(folders, problems)
    config = _config(folders, problems)
    checkpoint = metrics.get("best_checkpoint")
    return RunRecord(
        folders,
        began=_began(folders),
        state=_state(folders, metrics, problems),
        config=config,
        metrics=flat_metrics(metrics),
        best_checkpoint=Path(checkpoint).name if isinstance(checkpoint, str) else None,
        problems=problems,
    )


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a metrics.json by dotted names, without lists, tables and the environment.

    Example:
        >>> flat_metrics({"test": {"accuracy": 0.97, "confusion": [[3]]}, "epochs": 3, "environment": {"cpu_count": 2}})
        {'test.accuracy': 0.97, 'epochs': 3}
    """
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        group = value.items() if isinstance(value, Mapping) and name != "environment" else ()
        flat |= {name: value, **{f"{name}.{inner}": number for inner, number in group}}
    return {name: value for name, value in flat.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _metrics(folders: RunFolders, problems: dict[str, str]) -> dict[str, Any]:
    try:
        return read_metrics(folders.metrics) if folders.metrics.exists() else {}
    except (DataError, OSError) as error:
        problems[folders.metrics.name] = str(error)
        return {}


def _config(folders: RunFolders, problems: dict[str, str]) -> dict[str, Any]:
    try:
        values = read_document(read_start(folders.config, LARGEST).decode()).values
        if isinstance(values, Mapping):
            return flat_values(values)
        reason = "it holds no sections"
    except FileNotFoundError:
        reason = "there is no such file"
    except NotYamlError as error:
        reason = f"line {error.line}: {error}"
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    problems[folders.config.name] = f"{folders.config}: expected the resolved config of the run: {reason}."
    return {}


def _state(folders: RunFolders, metrics: Mapping[str, Any], problems: dict[str, str]) -> State:
    try:
        if folders.lock.exists() and _is_held(folders.lock):
            return "running"
    except OSError as error:
        problems[folders.lock.name] = f"{folders.lock}: the state of the run is unknown: {error.strerror}."
    if folders.metrics.name in problems:
        return "damaged"
    # An evaluation of a stopped run writes metrics too; these two come from the end of training.
    return "finished" if metrics.keys() >= {"epochs", "train_seconds"} else "stopped"


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True


def _began(folders: RunFolders) -> datetime:
    """Return the start time from the resolved config, the first file of a run: the folder's time changes later."""
    try:
        begun = folders.config.stat()
    except OSError:
        begun = folders.version_folder.stat()
    return datetime.fromtimestamp(begun.st_mtime).astimezone()


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the differing keys, each with its value in every config.

    Args:
        configs: Configs by dotted keys. A missing key has its default: the config is from an older version.

    Example:
        >>> differing_keys([{"training.seed": 0, "model.pad": 2}, {"training.seed": 1, "model.pad": 2}])
        {'training.seed': (0, 1)}
    """
    keys = {key: None for config in configs for key in config}
    values = {key: tuple(config.get(key, _defaults().get(key)) for config in configs) for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def short_key(key: str) -> str:
    """Remove the section, which is not needed to distinguish keys.

    Example:
        >>> short_key("training.scheduler.name")
        'scheduler.name'
    """
    return key.partition(".")[2] or key


def shown_value(value: object) -> str:
    """Format a value as YAML.

    Example:
        >>> shown_value("muon"), shown_value(None), shown_value(0.005), shown_value([7, 9])
        ('muon', 'null', '0.005', '[7, 9]')
    """
    return value if isinstance(value, str) else json.dumps(value, default=str)


@cache
def _defaults() -> dict[str, Any]:
    return {key_name(path): schema["default"] for path, schema in known_keys().items() if "default" in schema}
