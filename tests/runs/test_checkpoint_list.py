"""The names that runs claim: none takes another's, and none loses its own."""

import json
import os

import pytest

from triptych.errors import CheckpointError
from triptych.runs.checkpoint_list import check_names, free_name, own_names, write_names
from triptych.runs.folders import RunFolders


@pytest.fixture
def runs(tmp_path):
    """Two runs with the same data set."""
    folders = [RunFolders(tmp_path, "digits", version) for version in range(2)]
    for one in folders:
        one.version_folder.mkdir(parents=True)
    folders[0].checkpoints.mkdir(parents=True)
    return folders


def test_the_list_has_all_paths_wherever_the_output_is_moved(runs, tmp_path):
    write_names(runs[1], best="b.ckpt", files={"b.ckpt", "version_1-last.ckpt"})
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    version_folder = RunFolders(moved, "digits", 1).version_folder
    content = json.loads((version_folder / "checkpoints.json").read_text())
    assert content == {
        "folder": "../../../../lightning_checkpoints/digits",
        "best": "b.ckpt",
        "last": "version_1-last.ckpt",
        "files": ["b.ckpt", "version_1-last.ckpt"],
    }
    assert (version_folder / content["folder"]).samefile(moved / "lightning_checkpoints" / "digits")


def test_a_run_without_a_list_has_no_names(runs):
    assert own_names(runs[0]) == set()


def test_a_name_that_a_file_has_gets_a_suffix(runs):
    assert free_name(runs[0], "e") == "e.ckpt"
    (runs[0].checkpoints / "e.ckpt").touch()
    assert free_name(runs[0], "e") == "e-v1.ckpt"
    (runs[0].checkpoints / "e-v1.ckpt").touch()
    assert free_name(runs[0], "e") == "e-v2.ckpt"


def test_a_run_takes_its_own_name_again(runs):
    (runs[0].checkpoints / "e.ckpt").touch()
    write_names(runs[0], best="", files={"e-v1.ckpt"})
    (runs[0].checkpoints / "e-v1.ckpt").touch()
    assert free_name(runs[0], "e") == "e-v1.ckpt"


def test_a_name_is_taken_from_its_claim_on_not_only_when_the_file_is_there(runs):
    write_names(runs[0], best="", files={"e.ckpt"})
    assert free_name(runs[1], "e") == "e-v1.ckpt"
    assert free_name(runs[0], "e") == "e.ckpt"


@pytest.mark.parametrize(
    "content",
    [
        '{"files": ["../../x.ckpt"]}',
        '{"files": ["/x.ckpt"]}',
        '{"files": [".."]}',
        '{"best": "a/b.ckpt"}',
        '{"files": 3}',
        "[",
    ],
)
def test_a_list_that_names_paths_claims_nothing_and_is_rejected_by_a_run(runs, content):
    runs[0].checkpoint_list.write_text(content)
    assert own_names(runs[0]) == set()
    with pytest.raises(CheckpointError, match="expected plain names of checkpoints"):
        check_names(runs[0])


def test_the_list_of_a_run_passes_its_own_check(runs):
    names = {"epoch=07-val_accuracy=0.9951.ckpt", "epoch=07-val_accuracy=0.9951-v12.ckpt", "version_1-last.ckpt"}
    write_names(runs[1], best="epoch=07-val_accuracy=0.9951.ckpt", files=names)
    check_names(runs[1])
    assert own_names(runs[1]) == names


def test_a_pipe_in_place_of_the_list_is_not_waited_for(runs):
    os.mkfifo(runs[0].checkpoint_list)
    assert own_names(runs[0]) == set()
    with pytest.raises(CheckpointError, match="a pipe, a socket or a device"):
        check_names(runs[0])


def test_checkpoints_of_the_runs_behind_a_link_are_never_taken(runs, tmp_path):
    """A received run whose folder of checkpoints leads into that of somebody else's runs."""
    write_names(runs[0], best="e.ckpt", files={"e.ckpt", "version_0-last.ckpt"})
    received = RunFolders(tmp_path / "received", "digits", 0)
    received.version_folder.mkdir(parents=True)
    received.checkpoints.parent.mkdir()
    received.checkpoints.symlink_to(runs[0].checkpoints)
    write_names(received, best="", files={"e.ckpt"})

    assert own_names(runs[0]) <= set().union(*(own_names(other) for other in received.others()))
    with pytest.raises(CheckpointError, match="the folder is a link"):
        check_names(received)


def test_a_folder_of_checkpoints_may_be_a_link_to_a_larger_disk(tmp_path):
    run = RunFolders(tmp_path / "runs", "digits", 0)
    run.version_folder.mkdir(parents=True)
    (tmp_path / "large" / "lightning_checkpoints").mkdir(parents=True)
    (run.root / "lightning_checkpoints").symlink_to(tmp_path / "large" / "lightning_checkpoints")
    write_names(run, best="", files={"version_0-last.ckpt"})
    check_names(run)
    assert list(run.others()) == []
    linked = RunFolders(tmp_path / "linked", "digits", 0)
    linked.root.symlink_to(run.root)
    check_names(linked)
