"""Finding errors: each key once, and exactly when the config would be rejected."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triptych.config import RunConfig
from triptych.config.hints import known_keys
from triptych.config.validation import find_invalid

KEYS = [key for key, schema in known_keys().items() if "properties" not in schema]
VALUES = st.sampled_from([None, True, 0, 1, 2, 4, 5, 96, 0.0, 0.3, 1.0, 7.5, "auto", "mnist", "semihard", "x", [], {}])


@settings(deadline=None, max_examples=150)
@given(chosen=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_there_are_errors_exactly_when_the_config_is_rejected(chosen):
    values = {"dataset": {"name": "digits"}}
    for key, value in chosen.items():
        section = values
        for part in key[:-1]:
            section = section.setdefault(part, {})
        section[key[-1]] = value
    try:
        RunConfig.model_validate(values)
        rejected = False
    except ValidationError:
        rejected = True
    assert bool(find_invalid(values)) == rejected


def test_a_key_that_could_have_had_several_types_is_reported_once():
    errors = find_invalid({"dataset": {"name": "mnist"}, "training": {"devices": 0.5, "margin": "x"}})
    assert sorted(error.keys for error in errors) == [(("training", "devices"),), (("training", "margin"),)]


def test_a_dataset_left_out_is_reported_by_the_key_that_it_lacks():
    assert [error.keys for error in find_invalid({})] == [(("dataset", "name"),)]
