"""One row for each loss that can be trained: keys of the config, definitions and modules follow from it."""

import pytest

from triptych.config.loss_terms import LOSS_TERMS
from triptych.config.schema import RunConfig, TrainingConfig
from triptych.losses.builder import build_loss
from triptych.runs.definitions import DEFINITIONS


@pytest.mark.parametrize("name", LOSS_TERMS)
def test_a_row_has_a_key_a_definition_and_a_loss(name: str) -> None:
    config = RunConfig.model_validate({"dataset": {"name": "digits"}, "training": {f"{name}_weight": 0.5}})

    assert TrainingConfig.model_fields[f"{name}_weight"].default == LOSS_TERMS[name].weight
    assert DEFINITIONS[name].title == LOSS_TERMS[name].title
    assert config.training.loss_weights()[name] == 0.5
    assert type(build_loss(config).losses[name]).__name__ == LOSS_TERMS[name].loss.partition(":")[2]


def test_simple_mode_has_the_losses_that_need_no_decoder() -> None:
    training = TrainingConfig(use_multitask_loss=False, triplet_weight=9.0, classifier_weight=0.25)

    assert training.loss_weights() == {"triplet": 1.0, "classification": 0.25}


def test_a_removed_key_at_its_old_default_is_ignored_and_with_another_value_rejected() -> None:
    values = {"dataset": {"name": "digits"}, "training": {"loss_balancing": "fixed"}}

    assert RunConfig.model_validate(values) == RunConfig.model_validate({"dataset": {"name": "digits"}})
    with pytest.raises(ValueError, match=r"training\.loss_balancing"):
        RunConfig.model_validate({"dataset": {"name": "digits"}, "training": {"loss_balancing": "uncertainty"}})
