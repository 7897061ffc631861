"""Finding mistakes: each key once, and exactly when the config would be refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triptych.config import RunConfig
from triptych.config.hints import known_keys
from triptych.config.validation import find_mistakes

LEAVES = [key for key, schema in known_keys().items() if "properties" not in schema]
VALUES = st.sampled_from([None, True, 0, 1, 2, 4, 5, 96, 0.0, 0.3, 1.0, 7.5, "auto", "mnist", "semihard", "x", [], {}])


@settings(deadline=None, max_examples=150)
@given(chosen=st.dictionaries(st.sampled_from(LEAVES), VALUES, max_size=8))
def test_there_are_mistakes_exactly_when_the_config_is_refused(chosen):
    values = {"dataset": {"name": "digits"}}
    for key, value in chosen.items():
        section = values
        for part in key[:-1]:
            section = section.setdefault(part, {})
        section[key[-1]] = value
    try:
        RunConfig.model_validate(values)
        refused = False
    except ValidationError:
        refused = True
    assert bool(find_mistakes(values)) == refused


def test_a_key_that_could_have_had_several_types_is_reported_once():
    mistakes = find_mistakes({"dataset": {"name": "mnist"}, "training": {"devices": 0.5, "margin": "x"}})
    assert sorted(mistake.keys for mistake in mistakes) == [(("training", "devices"),), (("training", "margin"),)]


def test_a_dataset_left_out_is_told_by_the_key_that_it_lacks():
    assert [mistake.keys for mistake in find_mistakes({})] == [(("dataset", "name"),)]
