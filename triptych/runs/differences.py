"""What differs between the configs of runs: the keys whose values are not all equal, and short names for them."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from triptych.config.hints import known_keys
from triptych.config.mistakes import key_name


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the keys that differ, each with its value in every config.

    Args:
        configs: By dotted keys. A key that a config lacks has its default: an older version wrote it.

    Example:
        >>> differing_keys([{"training.seed": 0, "model.pad": 2}, {"training.seed": 1, "model.pad": 2}])
        {'training.seed': (0, 1)}
    """
    keys = {key: None for config in configs for key in config}
    values = {key: tuple(config.get(key, _defaults().get(key)) for config in configs) for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def short_key(key: str) -> str:
    """Leave out the section, which no two keys need to be told apart.

    Example:
        >>> short_key("training.scheduler.name")
        'scheduler.name'
    """
    return key.partition(".")[2] or key


def shown_value(value: object) -> str:
    """Write a value as YAML has it.

    Example:
        >>> shown_value("muon"), shown_value(None), shown_value(0.005), shown_value([7, 9])
        ('muon', 'null', '0.005', '[7, 9]')
    """
    return value if isinstance(value, str) else json.dumps(value, default=str)


@cache
def _defaults() -> dict[str, Any]:
    return {key_name(path): schema["default"] for path, schema in known_keys().items() if "default" in schema}
