"""What lies on the disk when a run is killed between any two changes, beside other runs, on any file system."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.artefacts.checkpoint import read_checkpoint
from triptych.errors import CheckpointError, TrainingError
from triptych.runs.checkpoint_list import write_names
from triptych.runs.folders import RunFolders, new_run
from triptych.training.callbacks.averaged_weights import AveragedWeights
from triptych.training.checkpoints.checkpoint_io import AtomicCheckpointIO
from triptych.training.checkpoints.run_checkpoints import RunCheckpoints

ACCURACIES = (0.5, 0.7, 0.6, 0.8)
CHANGES = {"open", "os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir"}


class Run:
    """RunCheckpoints, and of a trainer what it uses; the weights are the number of epochs done."""

    def __init__(self, folders: RunFolders, *, averaged_from: int = 100) -> None:
        self.folders = folders
        self.averaged_weights = AveragedWeights(share=0.5, images=torch.empty(0), batch_size=1)
        self.checkpoints = RunCheckpoints(folders, average=self.averaged_weights)
        self.module = torch.nn.Linear(1, 1)
        self.is_global_zero, self.should_stop = True, False
        self.current_epoch = self.global_step = 0
        self.averaged_from = averaged_from

    def save_checkpoint(self, path: Path) -> None:
        state = {"epochs": self.global_step, "RunCheckpoints": self.checkpoints.state_dict()}
        AtomicCheckpointIO().save_checkpoint(state, path)

    def train(self, epochs: int) -> "Run":
        """Start, or resume from the run's own last state, up to so many epochs."""
        self.checkpoints.setup(self, self.module, "fit")
        if self.folders.last.exists():
            saved = read_checkpoint(self.folders.last)
            self.checkpoints.load_state_dict(saved["RunCheckpoints"])
            self.global_step = saved["epochs"]
        self.checkpoints.on_train_start(self, self.module)
        for epoch in range(self.global_step, epochs):
            self.current_epoch, self.global_step = epoch, epoch + 1
            self.module.validated = {"accuracy": ACCURACIES[epoch]}
            self.averaged_weights.average = {"weight": torch.ones(1)} if epoch >= self.averaged_from else {}
            self.checkpoints.on_train_epoch_end(self, self.module)
        self.checkpoints.on_train_end(self, self.module)
        self.checkpoints.teardown(self, self.module, "fit")
        return self


def epochs_in(path: Path) -> int:
    return read_checkpoint(path)["epochs"]


def names(folders: RunFolders) -> set[str]:
    return {path.name for path in folders.checkpoints.iterdir()} - {".lock"}


def listed(folders: RunFolders) -> dict[str, Any]:
    return json.loads(folders.checkpoint_list.read_text())


def dies_at(change: int, action: Callable[[], object]) -> bool:
    """Do it in a process of its own that is killed before it changes the disk for the n-th time, if it gets there."""
    child = os.fork()
    if not child:
        left = change

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in CHANGES and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                left -= 1
                if left < 0:
                    os._exit(9)

        try:
            sys.addaudithook(hook)
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def test_a_run_keeps_its_best_epoch_and_its_last_state(tmp_path):
    folders = Run(new_run(tmp_path, "digits")).train(3).folders
    best = "epoch=02-val_accuracy=0.7000.ckpt"
    assert names(folders) == {best, "version_0-last.ckpt", "best.ckpt", "last.ckpt"}
    assert epochs_in(folders.checkpoints / "best.ckpt") == epochs_in(folders.checkpoints / best) == 2
    assert epochs_in(folders.checkpoints / "last.ckpt") == epochs_in(folders.last) == 3
    assert listed(folders)["files"] == [best, "version_0-last.ckpt"]
    assert listed(folders)["best"] == best


def test_the_first_of_equally_good_epochs_is_the_best(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ACCURACIES", (0.0, 0.0))
    assert Run(new_run(tmp_path, "digits")).train(2).checkpoints.best_name == "epoch=01-val_accuracy=0.0000.ckpt"


@pytest.mark.parametrize("averaged_from", [0, 1, 2, 3])
def test_once_weights_are_averaged_the_newest_average_is_the_best(tmp_path, monkeypatch, averaged_from):
    monkeypatch.setitem(globals(), "ACCURACIES", (0.5, 0.8, 0.7, 0.6))
    folders = new_run(tmp_path, "digits")

    for epochs in (2, 3, 4):  # resumed after each
        Run(folders, averaged_from=averaged_from).train(epochs)
        best = epochs if epochs > averaged_from else 2
        assert epochs_in(folders.checkpoints / "best.ckpt") == best


def test_a_kill_between_any_two_changes_loses_no_state_and_no_space(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a kill loses nothing of what the system holds
    earlier = Run(new_run(tmp_path / "before", "digits")).train(2)  # whose names the killed run would like to have
    untouched = {path.name: path.read_bytes() for path in earlier.folders.checkpoints.glob("*v*.ckpt")}
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "before", whole, symlinks=True)
    expected = Run(new_run(whole, "digits")).train(2).folders
    assert "epoch=02-val_accuracy=0.7000-v1.ckpt" in names(expected)

    change, killed = 0, True
    while killed:
        root = tmp_path / str(change)
        shutil.copytree(tmp_path / "before", root, symlinks=True)
        folders = new_run(root, "digits")
        killed = dies_at(change, lambda folders=folders: Run(folders).train(2))

        if folders.last.exists():
            state = read_checkpoint(folders.last)
            best = state["RunCheckpoints"]["best_name"]
            if best:
                best_epochs = int(best.removeprefix("epoch=")[:2])
                assert epochs_in(folders.checkpoints / best) == best_epochs <= state["epochs"]
        for link in ("last.ckpt", "best.ckpt"):
            path = folders.checkpoints / link
            assert path.exists() or not os.path.lexists(path), "a link that leads nowhere"

        Run(folders).train(2)
        assert names(folders) == names(expected)
        assert listed(folders) == listed(expected)
        for name in ("last.ckpt", "best.ckpt"):
            assert epochs_in(folders.checkpoints / name) == epochs_in(expected.checkpoints / name) == 2
            assert (folders.checkpoints / name).readlink() == (expected.checkpoints / name).readlink()
        assert {path.name for path in folders.version_folder.iterdir()} == {".lock", "checkpoints.json"}
        assert all((folders.checkpoints / name).read_bytes() == data for name, data in untouched.items())
        change += 1
    assert change > 30


def test_two_runs_with_the_same_accuracies_keep_their_own_files(tmp_path):
    first = Run(new_run(tmp_path, "digits")).train(2)
    before = {path: path.read_bytes() for path in first.folders.checkpoints.glob("*.ckpt") if not path.is_symlink()}
    second = Run(new_run(tmp_path, "digits")).train(1)
    assert second.checkpoints.best_name == "epoch=01-val_accuracy=0.5000.ckpt"  # which the first has given up
    second.train(2)
    assert second.checkpoints.best_name == "epoch=02-val_accuracy=0.7000-v1.ckpt"
    assert all(path.read_bytes() == content for path, content in before.items())
    for name in ("best.ckpt", "last.ckpt"):
        assert (second.folders.checkpoints / name).resolve().name in listed(second.folders)["files"]
    assert set(listed(first.folders)["files"]).isdisjoint(listed(second.folders)["files"])


def test_a_name_claimed_by_a_killed_run_is_not_given_away(tmp_path):
    killed, other = new_run(tmp_path, "digits"), new_run(tmp_path, "digits")
    write_names(killed, best="", files={"epoch=01-val_accuracy=0.5000.ckpt"})  # and it was killed before it wrote it

    newer = Run(other).train(1)
    older = Run(killed).train(1)

    assert newer.checkpoints.best_name == "epoch=01-val_accuracy=0.5000-v1.ckpt"
    assert older.checkpoints.best_name == "epoch=01-val_accuracy=0.5000.ckpt"


def test_an_older_run_that_is_resumed_does_not_take_the_links_back(tmp_path):
    older = Run(new_run(tmp_path, "digits")).train(1)
    newer = Run(new_run(tmp_path, "digits"))
    newer.checkpoints.setup(newer, newer.module, "fit")
    older.train(2)
    links = [older.folders.checkpoints / name for name in ("last.ckpt", "best.ckpt")]
    assert links[0].resolve() == older.folders.last  # the newer one has nothing to lead to yet
    assert links[1].exists()

    newer.checkpoints.on_train_start(newer, newer.module)
    older.train(4)

    assert links[0].resolve() == newer.folders.last
    assert not os.path.lexists(links[1])  # the older run's best is not the newest run's
    assert older.checkpoints.best.exists()


@pytest.mark.parametrize("hard_links", [True, False])
def test_checkpoints_are_kept_on_file_systems_without_links(tmp_path, monkeypatch, hard_links):
    def rejected(*arguments: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "symlink_to", rejected)
    if not hard_links:
        monkeypatch.setattr(os, "link", rejected)
    first, second = (Run(new_run(tmp_path, "digits")).train(epochs) for epochs in (4, 3))
    folder = first.folders.checkpoints
    assert (epochs_in(folder / "last.ckpt"), epochs_in(folder / "best.ckpt")) == (3, 2)
    assert (epochs_in(first.folders.last), epochs_in(first.checkpoints.best)) == (4, 4)
    assert (epochs_in(second.folders.last), epochs_in(second.checkpoints.best)) == (3, 2)


def test_a_run_that_is_being_trained_cannot_be_resumed_beside_it(tmp_path):
    running = Run(new_run(tmp_path, "digits")).train(1)
    running.checkpoints.setup(running, running.module, "fit")
    with pytest.raises(CheckpointError, match="still being trained by another process"):
        Run(running.folders).train(2)
    running.checkpoints.on_exception(running, running.module, KeyboardInterrupt())
    Run(running.folders).train(2)


def test_a_deleted_version_folder_is_made_again(tmp_path):
    run = Run(new_run(tmp_path, "digits")).train(2)
    shutil.rmtree(run.folders.version_folder)
    Run(run.folders).train(4)
    assert names(run.folders) == {
        "epoch=04-val_accuracy=0.8000.ckpt",
        "version_0-last.ckpt",
        "best.ckpt",
        "last.ckpt",
    }
    assert listed(run.folders)["best"] == "epoch=04-val_accuracy=0.8000.ckpt"


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    run = Run(new_run(tmp_path, "digits")).train(1)
    before = {path: path.read_bytes() for path in run.folders.checkpoints.iterdir()}
    run.module.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="weights became NaN or infinite by step 1, in weight"):
        run.checkpoints.save(run, run.module, best_epoch=1)
    assert {path: path.read_bytes() for path in run.folders.checkpoints.iterdir()} == before


def test_only_the_first_process_writes(tmp_path):
    run = Run(RunFolders(tmp_path, "digits", 0))
    run.is_global_zero = False
    saved_paths: list[Path] = []
    run.save_checkpoint = saved_paths.append  # every process has to join in Lightning's own
    run.train(2)
    assert len(saved_paths) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_identifies_its_run(tmp_path):
    run = Run(RunFolders(tmp_path, "digits", 7))
    run.num_training_batches = 5
    checkpoint = {"epoch": 3}
    run.checkpoints.on_save_checkpoint(run, run.module, checkpoint)
    assert checkpoint["triptych_run"] == {"dataset": "digits", "version": 7, "batches": 5}


# The older run waits in its second epoch until the newer one has saved its first state.
WAITING = """
import pathlib, time
from triptych.training.modules import TaskModule
plain = TaskModule.training_step
def training_step(self, batch, batch_idx):
    while self.current_epoch == 1 and not pathlib.Path({awaited!r}).exists():
        time.sleep(0.02)
    return plain(self, batch, batch_idx)
TaskModule.training_step = training_step
"""


def test_runs_at_once_into_the_same_output_keep_apart(command, quick_yaml, tmp_path):
    """Three real processes: one that is under way when two others, of the same seed, start at the same time."""
    folders = [RunFolders(tmp_path, "digits", version) for version in range(3)]
    start = ("train", "--config", quick_yaml, "--output", tmp_path)
    older = command(*start, "--epochs", "3", before=WAITING.format(awaited=str(folders[2].last)))
    while older.runs() and not folders[0].last.exists():
        time.sleep(0.02)
    newer = [command(*start), command(*start)]
    for one in (older, *newer):
        one.ends(0)

    best = [json.loads((one.version_folder / "metrics.json").read_text())["best_checkpoint"] for one in folders]
    assert len({Path(path).name for path in best}) == 3
    assert any("-v1.ckpt" in path for path in best)
    for one, path in zip(folders, best, strict=True):
        state = read_checkpoint(Path(path))
        assert state["triptych_run"]["version"] == one.version
        assert state["callbacks"]["RunCheckpoints"]["best_name"] == Path(path).name == listed(one)["best"]
        assert read_checkpoint(one.last)["epoch"] == (2 if one is folders[0] else 1)
    own = set().union(*(listed(one)["files"] for one in folders))
    assert names(folders[0]) == own | {"best.ckpt", "last.ckpt"}
    assert (tmp_path / "lightning_checkpoints/digits/last.ckpt").resolve() == folders[2].last.resolve()
    assert (tmp_path / "lightning_checkpoints/digits/best.ckpt").resolve() == Path(best[2]).resolve()
