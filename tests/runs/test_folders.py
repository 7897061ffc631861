"""Every run has a number of its own, whatever ran before it, beside it, or was deleted."""

import os
from pathlib import Path

import pytest

from triptych.runs.folders import RunFolders, all_runs, new_run, newest_run


def saved(root: Path, version: int) -> RunFolders:
    folders = RunFolders(root, "digits", version)
    folders.checkpoints.mkdir(parents=True, exist_ok=True)
    folders.last.touch()
    return folders


def test_a_run_writes_into_the_specified_folders(tmp_path):
    folders = new_run(tmp_path, "digits")
    assert folders.version_folder == tmp_path / "img_tasks/digits/experiment/version_0"
    assert folders.version_folder.is_dir()
    assert folders.checkpoints == tmp_path / "lightning_checkpoints/digits"


def test_runs_are_numbered_one_after_the_other_for_each_data_set(tmp_path):
    assert [new_run(tmp_path, "digits").version for _ in range(12)] == list(range(12))
    assert new_run(tmp_path, "mnist").version == 0


def test_two_runs_that_start_at_once_get_two_numbers(tmp_path):
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            for _ in range(5):
                new_run(tmp_path, "digits")
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert newest_run(tmp_path, "digits").version == 39


def test_a_deleted_version_folder_does_not_free_a_number_whose_checkpoint_is_there(tmp_path):
    saved(tmp_path, 3)
    assert newest_run(tmp_path, "digits").version == 3
    assert new_run(tmp_path, "digits").version == 4


def test_strange_names_are_no_runs(tmp_path):
    parent = RunFolders(tmp_path, "digits", 0).version_folder.parent
    for name in ("version_", "version_x", "version_²", "version_7-copy", "backup_version_9"):
        (parent / name).mkdir(parents=True)
    assert newest_run(tmp_path, "digits") is None
    assert new_run(tmp_path, "digits").version == 0


def test_the_newest_run_is_the_latest_that_has_saved_anything(tmp_path):
    older = saved(tmp_path, 0)
    newer = new_run(tmp_path, "digits")
    assert older.is_newest()
    saved(tmp_path, newer.version)
    assert not older.is_newest()
    assert newer.is_newest()


def test_all_runs_are_listed_by_data_set_and_number(tmp_path):
    for dataset, count in (("mnist", 1), ("digits", 11)):
        for _ in range(count):
            new_run(tmp_path, dataset)
    saved(tmp_path, 40)  # a checkpoint whose version folder is gone
    experiment = tmp_path / "img_tasks" / "digits" / "experiment"
    (experiment / "version_41").touch()
    (experiment / "version_x").mkdir()
    (tmp_path / "img_tasks" / "notes.txt").touch()
    names = [run.name for run in all_runs(tmp_path)]
    assert names == [*(f"digits/{version}" for version in range(11)), "mnist/0"]
    assert all_runs(tmp_path / "elsewhere") == []


def test_a_folder_that_is_a_file_is_an_error_of_the_system(tmp_path):
    (tmp_path / "img_tasks").touch()
    with pytest.raises(NotADirectoryError):
        new_run(tmp_path, "digits")
    (tmp_path / "img_tasks").unlink()
    (tmp_path / "img_tasks").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        new_run(tmp_path, "digits")
