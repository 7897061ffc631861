"""The wording of errors: what a key expects, and what the user probably meant.

All of it comes from the JSON schema that editors use, so that messages and editors always agree.
"""

from difflib import get_close_matches
from functools import cache
from math import inf, isfinite
from typing import Any

from triptych.config.report import KeyPath, key_name, shown
from triptych.config.schema import nested_schema

LONGEST_MEANT = 60
"""Characters of the longest value that is treated as a misspelling."""


@cache
def known_keys() -> dict[KeyPath, dict[str, Any]]:
    """Map every key path of a config, sections included, to its JSON schema.

    Example:
        >>> known_keys()["training", "epochs"]["default"]
        10
    """
    return _keys_below((), nested_schema())


def expectation(schema: dict[str, Any]) -> str:
    """Describe in words what a JSON schema accepts.

    Example:
        >>> expectation({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5})
        'a number above 0 and at most 0.5'
        >>> expectation({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]})
        'an integer of at least 1 or auto'
    """
    if "anyOf" in schema:
        return " or ".join(map(expectation, schema["anyOf"]))
    if "properties" in schema:
        return f"a section of keys ({', '.join(schema['properties'])})"
    if schema.get("type") == "array":
        return f"a list of: {expectation(schema['items'])}"
    if options := _options(schema):
        return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    bounds = [f"{words} {_short(schema[bound])}" for bound, words in _BOUNDS.items() if bound in schema]
    text = "non-empty text" if schema.get("minLength") else _TYPES[schema["type"]]
    return f"{text} {' and '.join(bounds)}".rstrip()


def value_hint(value: object, schema: dict[str, Any]) -> str:
    """Suggest a correction of an invalid `value`; empty if there is none.

    Example:
        >>> value_hint("semi-hard", {"enum": ["all", "semihard", "hard"]})
        "; did you mean 'semihard'?"
        >>> value_hint("3", {"type": "integer"})
        '; write 3'
    """
    if not isinstance(value, _SCALARS) or len(str(value)) > LONGEST_MEANT:
        return ""
    if meant := _closest_option(str(value), _options(schema)):
        return f"; did you mean '{meant}'?"
    if value is None:
        return "; remove the key to use its default" if "default" in schema or "properties" in schema else ""
    parts = schema.get("anyOf", [schema])
    word = str(value).lower()
    if word in _SWITCHES and any(part.get("type") == "boolean" for part in parts):
        return f"; write {_SWITCHES[word]}"
    number = _number(value)
    if number is not None and any(_accepts(part, number) for part in parts):
        return f"; write {_short(number)}"
    return ""


def unknown_key_text(key: KeyPath, value: object, *, with_hint: bool = True) -> str:
    """Describe an unknown key: name a similar key of its section, or the section that it belongs to.

    Example:
        >>> unknown_key_text(("model", "epochs"), 3)
        'unknown key, with value 3; that key belongs to section training'
        >>> unknown_key_text(("training", "epoch"), 3)
        "unknown key, with value 3; did you mean 'epochs'?"
    """
    text = f"unknown key, with value {shown(value)}"
    return f"{text}; {_key_hint(key)}" if with_hint else text


_TYPES = {"integer": "an integer", "number": "a number", "boolean": "true or false", "string": "text", "null": "null"}
_BOUNDS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_TRUE, _FALSE = ("yes", "on", "y", "1"), ("no", "off", "n", "0")
_SWITCHES = dict.fromkeys(_TRUE, "true") | dict.fromkeys(_FALSE, "false")
_SCALARS = (str, int, float, type(None))


def _key_hint(key: KeyPath) -> str:
    *section, name = key
    word = name.lower().replace("-", "_").rpartition(".")[2]
    own = [known[-1] for known in known_keys() if known[:-1] == tuple(section)]
    others = [known for known in known_keys() if len(known) > 1 and known[:-1] != tuple(section)]
    abbreviated = [known for known in own if "_" in known and word == "".join(part[0] for part in known.split("_"))]
    if close := abbreviated or get_close_matches(word, own, n=1):
        return f"did you mean '{close[0]}'?"
    if homes := [key_name(known[:-1]) for known in others if known[-1] == word]:
        return f"that key belongs to section {' or '.join(homes)}"
    if close := get_close_matches(word, [known[-1] for known in others], n=1):
        return f"did you mean {' or '.join(key_name(known) for known in others if known[-1] == close[0])}?"
    return f"expected one of {', '.join(own)}"


def _keys_below(path: KeyPath, schema: dict[str, Any]) -> dict[KeyPath, dict[str, Any]]:
    keys = {}
    for name, inner in schema.get("properties", {}).items():
        keys[*path, name] = inner
        keys |= _keys_below((*path, name), inner)
    return keys


def _options(schema: dict[str, Any]) -> list[str]:
    """List the words that a key accepts, alone or beside other types."""
    parts = schema.get("anyOf", [schema])
    return [option for part in parts for option in part.get("enum", [part["const"]] if "const" in part else [])]


def _closest_option(word: str, options: list[str]) -> str | None:
    """Find the option that begins with the word, as in `bf16` or `cosine`, otherwise the most similar one."""
    plain = {option.lower(): option for option in options}
    beginnings = [option for option in plain if word and option.startswith(word.lower())]
    found = beginnings or get_close_matches(word.lower(), plain, n=1)
    return plain[found[0]] if found else None


def _accepts(schema: dict[str, Any], number: float) -> bool:
    return (
        (schema.get("type") == "number" or (schema.get("type") == "integer" and number == int(number)))
        and schema.get("minimum", number) <= number <= schema.get("maximum", number)
        and schema.get("exclusiveMinimum", -inf) < number < schema.get("exclusiveMaximum", inf)
    )


def _short(number: float) -> str:
    return str(int(number) if number == int(number) and abs(number) < 1e15 else number)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) else None
