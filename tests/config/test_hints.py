"""The wording of errors: what was expected, and what was meant."""

import pytest

from triptych.config.hints import expectation, known_keys, unknown_key_text, value_hint


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 1}, "non-empty text"),
        ({"type": "number", "minimum": 0.0, "exclusiveMaximum": 0.5}, "a number of at least 0 and below 0.5"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}, "a number above 0 or null"),
        ({"properties": {"x": {}, "y": {}}}, "a section of keys (x, y)"),
    ],
)
def test_a_schema_is_put_in_words(schema, words):
    assert expectation(schema) == words


def test_every_key_can_be_put_in_words():
    for schema in known_keys().values():
        assert expectation(schema)


@pytest.mark.parametrize(
    ("value", "schema", "hint"),
    [
        ("3", {"type": "integer"}, "; write 3"),
        ("0", {"type": "integer", "minimum": 1}, ""),
        ("3.5", {"type": "integer"}, ""),
        ("3.5", {"type": "number"}, "; write 3.5"),
        ("inf", {"type": "number"}, ""),
        (4.0, {"type": "integer"}, "; write 4"),
        (4.0, {"type": "integer", "exclusiveMaximum": 4}, ""),
        (True, {"type": "integer"}, ""),
        ("on", {"type": "boolean"}, "; write true"),
        ("perhaps", {"type": "boolean"}, ""),
        (None, {"type": "integer"}, ""),
        (None, {"type": "integer", "default": 3}, "; remove the key to use its default"),
        ("BF16", {"enum": ["32-true", "bf16-mixed"]}, "; did you mean 'bf16-mixed'?"),
        ("xyz", {"enum": ["32-true", "bf16-mixed"]}, ""),
        ("", {"enum": ["32-true", "bf16-mixed"]}, ""),
    ],
)
def test_only_what_would_be_right_is_suggested(value, schema, hint):
    assert value_hint(value, schema) == hint


def test_a_key_of_two_other_sections_names_both():
    assert unknown_key_text(("logging", "name"), 1).endswith(
        "that key belongs to section dataset or training.scheduler"
    )
