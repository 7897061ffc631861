import pytest

from triptych.errors import ConfigError
from triptych.inspection.describe import describe

DIGITS = {"dataset": {"name": "digits"}, "model": {"patch_size": 2}}


def test_parameters_are_those_of_the_model_of_the_config() -> None:
    small = describe(DIGITS, ["model.embed_dim=48"])

    assert small.model == "MultiTaskImageTransformer"
    assert small.image_shape == (1, 8, 8)
    assert len(small.classes) == 10
    assert sum(part.parameters for part in small.summary.parts) == small.summary.total.parameters
    assert small.summary.total.parameters < describe(DIGITS).summary.total.parameters


def test_held_out_classes_have_no_logits() -> None:
    assert describe(DIGITS, ["evaluation.holdout_classes=[3, 7]"]).classes == tuple("01245689")


def test_an_invalid_config_is_reported() -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        describe({"dataset": {"name": "digits", "colour": "blue"}})
