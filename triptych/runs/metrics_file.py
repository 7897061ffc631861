"""A run's metrics.json: the metrics of training, and those of later evaluations.

It is strict JSON: a number that is not finite is written as null.
"""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from triptych.errors import DataError
from triptych.files import read_start, replacing

LARGEST = 1 << 28
"""Maximum size of a metrics.json in bytes."""


def write_metrics(metrics: Mapping[str, Any], path: Path) -> None:
    """Write metrics.json atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(jsonable(metrics), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_metrics(path: Path) -> dict[str, Any]:
    """Read metrics.json.

    Raises:
        DataError: The file is missing, damaged, or contains no JSON object.
    """
    try:
        metrics = json.loads(read_start(path, LARGEST).decode())
    except FileNotFoundError as error:
        raise _invalid(path, "nothing: there is no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _invalid(path, f"one that cannot be read ({error})") from error
    if not isinstance(metrics, dict):
        raise _invalid(path, f"a JSON {type(metrics).__name__}")
    return metrics


def update_metrics(path: Path, changes: Mapping[str, Any]) -> None:
    """Update metrics.json atomically, keeping other values; create it if it does not exist.

    Args:
        path: The file.
        changes: New values. A mapping, such as `{"test": {"map_at_r": 0.9}}`, is merged key by key into the mapping of
            that name in the file; any other value replaces the old one.

    Raises:
        DataError: The file is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.json"
        >>> write_metrics({"test": {"accuracy": 0.97}, "epochs": 3}, path)
        >>> update_metrics(path, {"test": {"map_at_r": 0.9}})
        >>> read_metrics(path)
        {'test': {'accuracy': 0.97, 'map_at_r': 0.9}, 'epochs': 3}
    """
    metrics = read_metrics(path) if path.exists() else {}
    for name, value in changes.items():
        old = metrics.get(name)
        metrics[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    write_metrics(metrics, path)


def jsonable(value: Any) -> Any:  # noqa: ANN401 # any JSON value
    """Replace numbers that JSON does not support, such as NaN, by null."""
    if isinstance(value, Mapping):
        return {name: jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _invalid(path: Path, received: str) -> DataError:
    return DataError(
        f"{path}: expected the metrics of a run, a JSON object, but received {received}. Evaluate or train the run "
        "again, or put a whole copy in its place."
    )
