"""Checkpoints are written completely or not at all."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from triptych.artefacts.checkpoint import read_checkpoint
from triptych.errors import TrainingError
from triptych.training.checkpoints.checkpoint_io import AtomicCheckpointIO

GOOD = {"state_dict": {"weight": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "names": ["a", "b"], "none": None}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    AtomicCheckpointIO().save_checkpoint(GOOD, tmp_path / "good.ckpt")
    return tmp_path / "good.ckpt"


def test_what_is_saved_is_read_back_as_it_was(good):
    for checkpoint in (read_checkpoint(good), AtomicCheckpointIO().load_checkpoint(good, weights_only=False)):
        assert torch.equal(checkpoint.pop("state_dict")["weight"], GOOD["state_dict"]["weight"])
        assert checkpoint == {"epoch": 3, "names": ["a", "b"], "none": None}


def test_the_same_state_gives_the_same_bytes(good, tmp_path):
    AtomicCheckpointIO().save_checkpoint(GOOD, tmp_path / "again.ckpt")
    assert good.read_bytes() == (tmp_path / "again.ckpt").read_bytes()


@pytest.mark.parametrize("number", [28, 122, 27])  # full, over the quota, larger than a file may be
def test_a_full_disk_keeps_the_former_checkpoint(good, monkeypatch, number):
    before = good.read_bytes()

    def write_a_part(path: Path, content: memoryview) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_a_part)
    with pytest.raises(TrainingError, match=r"the disk is full .* continue with --resume"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, good)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_another_error_of_the_disk_is_not_called_full(good, monkeypatch):
    def write(path: Path, content: memoryview) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(PermissionError):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, good)


def test_an_error_of_ours_is_not_called_a_full_disk(tmp_path):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        AtomicCheckpointIO().save_checkpoint({"function": lambda: None}, tmp_path / "x.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_a_removed_checkpoint_is_gone_and_may_have_been(good):
    AtomicCheckpointIO().remove_checkpoint(good)
    AtomicCheckpointIO().remove_checkpoint(good)
    assert not good.exists()
