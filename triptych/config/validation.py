"""What is wrong with the values of a config: pydantic's errors and the impossible combinations, as one list."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import ValidationError

from triptych.config.combinations import combination_mistakes
from triptych.config.hints import expectation, known_keys, unknown_key_text, value_hint
from triptych.config.mistakes import KeyPath, Mistake, shown
from triptych.config.schema import RunConfig


def find_mistakes(values: Mapping[str, Any]) -> list[Mistake]:
    """Find every mistake in the nested `values` of a whole config; none means that `RunConfig` accepts them.

    Example:
        >>> find_mistakes({"dataset": {"name": "mnist", "pad": -1}})[0].text
        'expected an integer of at least 0; got -1'
    """
    # A section that is left out altogether is told by its required keys.
    values = {"dataset": {}, **values}
    try:
        RunConfig.model_validate(values)
    except ValidationError as error:
        mistakes = _single_mistakes(error)
        return mistakes + combination_mistakes(_right_values(values, mistakes))
    return []


def _single_mistakes(error: ValidationError) -> list[Mistake]:
    """Describe each wrong key once (pydantic has an error for each type that a key could have had)."""
    found: dict[KeyPath, Mistake] = {}
    for detail in error.errors(include_url=False, include_context=False):
        place = tuple(map(str, detail["loc"]))
        # Only the whole config has no place: its combinations, which are looked for apart from the rest.
        if place:
            key = place if detail["type"] == "extra_forbidden" else _known_part(place)
            found.setdefault(key, Mistake((key,), _text(key, detail["type"], detail["input"])))
    return list(found.values())


def _known_part(place: KeyPath) -> KeyPath:
    """Cut off what pydantic adds behind the key, such as the type that it tried."""
    return next(place[:end] for end in range(len(place), 0, -1) if place[:end] in known_keys())


def _text(key: KeyPath, kind: str, value: object) -> str:
    if kind == "extra_forbidden":
        return unknown_key_text(key, value)
    schema = known_keys()[key]
    if kind == "missing":
        return f"missing; expected {expectation(schema)}"
    if isinstance(value, float) and not isfinite(value):
        return f"expected {expectation(schema)}, finite; got {shown(value)}"
    return f"expected {expectation(schema)}; got {shown(value)}{value_hint(value, schema)}"


def _right_values(values: Mapping[str, Any], mistakes: list[Mistake]) -> dict[str, Any]:
    """Map the dotted keys that are right alone to their values, defaults included."""
    wrong = {key for mistake in mistakes for key in mistake.keys}
    return {
        ".".join(key): _value(values, key, schema.get("default"))
        for key, schema in known_keys().items()
        if "properties" not in schema and not any(key[:end] in wrong for end in range(1, len(key) + 1))
    }


def _value(values: Mapping[str, Any], key: KeyPath, default: object) -> object:
    for part in key:
        if part not in values:
            return default
        values = values[part]
    return values
