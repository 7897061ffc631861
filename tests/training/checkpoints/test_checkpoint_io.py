"""Checkpoints are written whole or not at all, and read without running what they may hold."""

import contextlib
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triptych.errors import CheckpointError, TrainingError
from triptych.training.checkpoints.checkpoint_io import AtomicCheckpointIO, read_checkpoint

GOOD = {"state_dict": {"weight": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "names": ["a", "b"], "none": None}


class Code:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch '{self.mark}'",)


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
def test_a_full_disk_leaves_the_checkpoint_that_was_there(good, monkeypatch, number):
    before = good.read_bytes()

    def write_a_part(path: Path, content: memoryview) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_a_part)
    with pytest.raises(TrainingError, match=r"the disk is full .* go on with --resume"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, good)
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]


def test_another_error_of_the_disk_is_not_called_full(good, monkeypatch):
    def write(path: Path, content: memoryview) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(PermissionError):
        AtomicCheckpointIO().save_checkpoint({"epoch": 4}, good)


def test_a_mistake_of_ours_is_not_called_a_full_disk(tmp_path):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        AtomicCheckpointIO().save_checkpoint({"function": lambda: None}, tmp_path / "x.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_a_removed_checkpoint_is_gone_and_may_have_been(good):
    AtomicCheckpointIO().remove_checkpoint(good)
    AtomicCheckpointIO().remove_checkpoint(good)
    assert not good.exists()


def write_bare(path: Path, code: Code) -> None:
    path.write_bytes(pickle.dumps({"state_dict": code}, protocol=2))


def write_newest_pickle(path: Path, code: Code) -> None:
    path.write_bytes(pickle.dumps({"state_dict": code}))


def write_zip(path: Path, code: Code) -> None:
    torch.save({"state_dict": code}, path)


def write_old(path: Path, code: Code) -> None:
    torch.save({"state_dict": code}, path, _use_new_zipfile_serialization=False)


def write_tar(path: Path, code: Code) -> None:
    """torch's format of 2016, whose reader unpickles each member."""
    members = {"sys_info": {"protocol_version": 1000}, "pickle": code, "storages": code, "tensors": code}
    with tarfile.open(path, "w") as archive:
        for name, value in members.items():
            content = pickle.dumps(value, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("write", [write_bare, write_newest_pickle, write_zip, write_old, write_tar])
def test_a_checkpoint_with_code_is_refused_and_the_code_does_not_run(tmp_path, write):
    path, mark = tmp_path / "evil.ckpt", tmp_path / "ran"
    write(path, Code(mark))
    with pytest.raises(CheckpointError, match=r"was refused: .* Nothing in it was run") as error:
        read_checkpoint(path)
    assert not mark.exists()
    assert "weights_only" not in str(error.value)  # torch's own advice is to trust the file


def test_the_code_would_run_if_it_could(tmp_path):
    """The oracle of the test above: the same file, read the unsafe way."""
    write_zip(tmp_path / "evil.ckpt", Code(tmp_path / "ran"))
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_the_refusal_names_what_the_file_asks_for(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(tmp_path / "module.pth")


def make_broken(folder: Path) -> dict[str, Path]:
    content = io.BytesIO()
    torch.save(GOOD, content)
    whole = content.getvalue()
    files = {
        "empty": b"",
        "one byte": whole[:1],
        "cut short": whole[: len(whole) // 2],
        "without its end": whole[:-30],
        "text": b"hello there\n",
        "yaml": b"dataset:\n  name: digits\n",
        "zeros": bytes(1000),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(folder / "another zip", "w") as archive:
        archive.writestr("a.txt", "b")
    (folder / "a folder").mkdir()
    torch.save([1, 2], folder / "a list")
    torch.save(torch.zeros(3), folder / "a tensor")
    return {path.name: path for path in folder.iterdir()} | {"none": folder / "none", "within": folder / "text" / "x"}


def test_every_broken_file_gets_one_message_that_names_it(tmp_path):
    for name, path in make_broken(tmp_path).items():
        with pytest.raises(CheckpointError) as error:
            read_checkpoint(path)
        message = str(error.value)
        assert str(path) in message, name
        assert len(message.splitlines()) == 1, name
        assert "weights_only" not in message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_anywhere_is_told_or_harmless(good, position, bit, cut):
    damaged = bytearray(good.read_bytes())
    place = int(position * len(damaged))
    damaged[place] ^= 1 << bit
    path = good.with_name("damaged.ckpt")
    path.write_bytes(damaged[:place] if cut else damaged)
    with contextlib.suppress(CheckpointError):  # and no other error
        read_checkpoint(path)
