"""The sections as Python objects: strict, finite, frozen."""

from typing import get_args

import pytest
from pydantic import ValidationError

from triptych.config import KNOWN_DATASETS, OWN_IMAGES, DatasetConfig, RunConfig, TrainingConfig
from triptych.config.schema import DatasetName


def test_every_data_set_has_its_shape():
    assert {*KNOWN_DATASETS, *OWN_IMAGES} == set(get_args(DatasetName))


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 3.0}, {"epochs": "3"}, {"epochs": True}, {"learning_rate": "3e-4"}, {"learning_rate": True},
        {"deterministic": 1}, {"deterministic": "true"}, {"weight_decay": float("inf")}, {"margin": float("nan")},
        {"label_smoothing": float("nan")}, {"seed": -1}, {"devices": 0}, {"devices": "2"}, {"optimizer": "Muon"},
        {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_converted_and_nothing_unknown_is_taken(values):
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(values)


def test_a_whole_number_is_a_number():
    assert TrainingConfig(learning_rate=1).learning_rate == 1.0


def test_a_config_does_not_change_after_loading():
    config = RunConfig(dataset=DatasetConfig(name="mnist"))
    with pytest.raises(ValidationError):
        config.training.epochs = 5


def test_padding_counts_twice_in_the_shape():
    assert DatasetConfig(name="cifar10", pad=3).image_shape == (3, 38, 38)
