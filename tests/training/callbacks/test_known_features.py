"""Features that are known before training, by an image's position."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.training.callbacks.known_features import KnownFeatures


@pytest.fixture
def known() -> KnownFeatures:
    return KnownFeatures({"train": torch.arange(12.0).reshape(6, 2), "val": torch.arange(4.0).reshape(2, 2)})


def test_an_image_has_the_features_of_its_position_in_its_split(known: KnownFeatures) -> None:
    assert known.of("train", torch.tensor([5, 0, 5])).tolist() == [[10.0, 11.0], [0.0, 1.0], [10.0, 11.0]]
    assert known.of("val", torch.tensor([1])).tolist() == [[2.0, 3.0]]


def test_an_image_has_the_same_features_in_later_rounds_of_an_epoch(known: KnownFeatures) -> None:
    assert known.of("train", torch.tensor([5 + 6, 1 + 2 * 6])).tolist() == [[10.0, 11.0], [2.0, 3.0]]


def test_of_the_test_nothing_is_known(known: KnownFeatures) -> None:
    assert known.of("test", torch.tensor([0])) is None


def test_a_copy_uses_the_same_features(known: KnownFeatures) -> None:
    assert copy.deepcopy(known) is known


def test_on_a_cpu_they_stay_where_they_lie(known: KnownFeatures, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    mapped = KnownFeatures({"train": torch.from_numpy(np.load(tmp_path / "features.npy", mmap_mode="c"))})

    assert mapped.near(torch.device("cpu")) is mapped
    assert mapped.of("train", torch.tensor([2])).tolist() == [[4.0, 5.0]]
