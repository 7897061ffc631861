"""Only what differs is told, under names that stay unambiguous."""

from triptych.config.hints import known_keys
from triptych.config.mistakes import key_name
from triptych.runs.differences import differing_keys, short_key


def test_equal_configs_differ_in_nothing():
    config = {"training.seed": 0, "evaluation.holdout_classes": [7, 9]}
    assert differing_keys([config, dict(config), dict(config)]) == {}


def test_one_other_value_among_many_is_found():
    configs = [{"training.seed": 0, "training.margin": value} for value in (0.2, 0.2, None)]
    assert differing_keys(configs) == {"training.margin": (0.2, 0.2, None)}


def test_a_key_that_an_older_version_did_not_write_has_its_default():
    default = known_keys()["training", "margin"]["default"]
    assert differing_keys([{"training.margin": default}, {}]) == {}
    assert differing_keys([{}, {"training.margin": 0.7}]) == {"training.margin": (default, 0.7)}


def test_a_key_that_this_version_does_not_know_is_told_too():
    assert differing_keys([{"model.future": 1}, {}]) == {"model.future": (1, None)}


def test_short_names_tell_all_keys_apart():
    keys = [key_name(path) for path, schema in known_keys().items() if "properties" not in schema]
    assert len({short_key(key) for key in keys}) == len(keys) > 50
