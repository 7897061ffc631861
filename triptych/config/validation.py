"""Validates the values of a config: pydantic's errors and invalid combinations, in one list."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import ValidationError

from triptych.config.combinations import invalid_combinations
from triptych.config.hints import expectation, known_keys, unknown_key_text, value_hint
from triptych.config.report import MOST_SHOWN, Invalid, KeyPath, shown
from triptych.config.schema import RunConfig


def find_invalid(values: Mapping[str, Any]) -> list[Invalid]:
    """Find every error in the nested `values` of a complete config; none means that `RunConfig` accepts them.

    Example:
        >>> find_invalid({"dataset": {"name": "mnist", "pad": -1}})[0].text
        'expected an integer of at least 0; got -1'
    """
    # A missing section is reported by its required keys.
    values = {"dataset": {}, **values}
    try:
        RunConfig.model_validate(values)
    except ValidationError as error:
        invalid = _invalid_keys(error)
        return invalid + invalid_combinations(_valid_values(values, invalid))
    return []


def _invalid_keys(error: ValidationError) -> list[Invalid]:
    """Describe each invalid key once (pydantic reports an error for each type that a key accepts)."""
    found: dict[KeyPath, Invalid] = {}
    for detail in error.errors(include_url=False, include_context=False):
        place = tuple(map(str, detail["loc"]))
        # The whole config alone has no place: its combinations are checked separately.
        if place:
            is_unknown = detail["type"] == "extra_forbidden"
            key = place if is_unknown else _known_part(place)
            if key not in found:
                # Hints are slow to find, and no more than MOST_SHOWN are printed.
                text = _text(key, detail["type"], detail["input"], with_hint=len(found) < MOST_SHOWN)
                found[key] = Invalid((key,), text)
    return list(found.values())


def _known_part(place: KeyPath) -> KeyPath:
    """Cut off what pydantic appends to the key, such as the type that it tried."""
    return next(place[:end] for end in range(len(place), 0, -1) if place[:end] in known_keys())


def _text(key: KeyPath, kind: str, value: object, *, with_hint: bool) -> str:
    if kind == "extra_forbidden":
        return unknown_key_text(key, value, with_hint=with_hint)
    schema = known_keys()[key]
    if kind == "missing":
        return f"missing; expected {expectation(schema)}"
    if isinstance(value, float) and not isfinite(value):
        return f"expected {expectation(schema)}, finite; got {shown(value)}"
    return f"expected {expectation(schema)}; got {shown(value)}{value_hint(value, schema)}"


def _valid_values(values: Mapping[str, Any], invalid: list[Invalid]) -> dict[str, Any]:
    """Map the dotted keys that are valid alone to their values, defaults included."""
    wrong = {key for one in invalid for key in one.keys}
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
