"""Overrides: their form, and what they change."""

import pytest

from triptych.config.overrides import override_label, parse_override


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.epochs=5", ("training", "epochs"), 5),
        (" training . epochs = 5 ", ("training", "epochs"), 5),
        ("training.learning_rate=3e-4", ("training", "learning_rate"), 3e-4),
        ("dataset.root=a=b", ("dataset", "root"), "a=b"),
        ("training.margin=", ("training", "margin"), None),
        ("training.scheduler={name: StepLR}", ("training", "scheduler"), {"name": "StepLR"}),
    ],
)
def test_the_value_is_yaml(text, key, value):
    override = parse_override(text)
    assert (override.key, override.document.values) == (key, value)


def test_the_values_overridden_are_left_as_they_were():
    shared = {"gamma": 0.5}
    values = {"training": {"scheduler": shared, "epochs": 3}}
    changed = parse_override("training.scheduler.gamma=0.1").applied_to(values)
    assert changed == {"training": {"scheduler": {"gamma": 0.1}, "epochs": 3}}
    assert values == {"training": {"scheduler": {"gamma": 0.5}, "epochs": 3}}


def test_a_wrong_section_of_the_file_is_kept_to_be_reported():
    assert parse_override("training.epochs=3").applied_to({"training": 5}) == {"training": 5}


@pytest.mark.parametrize("text", ["", "=", "epochs", "training.=3", ".epochs=3", "a.b=3", "training.seed.x=3", "a=["])
def test_another_form_is_rejected(text):
    with pytest.raises(ValueError, match=r"expected|unknown|cannot be read"):
        parse_override(text)


def test_a_flag_is_shown_as_typed_unless_it_is_long_or_unprintable():
    assert override_label("training.epochs=x") == "--set training.epochs=x"
    assert override_label("a=\x1b[2J") == "--set 'a=\\x1b[2J'"
    assert len(override_label("a" * 1000)) < 100
