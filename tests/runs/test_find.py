"""A run is found by its name, its folder, or its checkpoints, and never guessed."""

import json
from pathlib import Path

import pytest

from triptych.errors import CheckpointError
from triptych.files import point_to
from triptych.runs.find import find_run, is_name_of_run
from triptych.runs.folders import RunFolders


@pytest.fixture
def two(left, tmp_path):
    """Two runs, each with a best and a last checkpoint, and the links to the newer one's."""
    runs = []
    for version, accuracy in ((3, 0.93), (12, 0.95)):
        run = left("digits", version)
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        best = run.checkpoints / f"epoch=03-val_accuracy={accuracy}.ckpt"
        for path in (best, run.last):
            path.touch()
        run.checkpoint_list.write_text(json.dumps({"best": best.name, "files": [best.name, run.last.name]}))
        point_to(best, run.checkpoints / "best.ckpt")
        point_to(run.last, run.checkpoints / "last.ckpt")
        runs.append(run)
    return runs


@pytest.mark.parametrize("meant", ["digits/3", "digits/version_3", "digits/3/"])
def test_by_name_under_the_output_root(two, tmp_path, meant):
    assert find_run(meant, tmp_path) == two[0]


@pytest.mark.parametrize("dataset", ["my photos", "birds.v2", "фото", "[red]:cat:", "-x"])
def test_by_the_name_of_any_folder_of_images(tmp_path, dataset):
    RunFolders(tmp_path, dataset, 0).version_folder.mkdir(parents=True)
    assert find_run(f"{dataset}/0", tmp_path) == RunFolders(tmp_path, dataset, 0)


@pytest.mark.parametrize("meant", ["../0", "./0", "a/b/0", "/0", "digits/x", "digits/²", "digits/0.ckpt"])
def test_a_path_is_not_the_name_of_a_run(meant):
    assert not is_name_of_run(meant)


def test_by_version_folder_wherever_one_stands(two, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert find_run(str(two[0].version_folder), other) == two[0]
    monkeypatch.chdir(two[0].version_folder.parent)
    assert find_run("version_3", other) == two[0]
    monkeypatch.chdir(tmp_path)
    assert find_run("img_tasks/digits/experiment/version_12/", other) == two[1]


def test_by_version_folder_below_a_link(two, tmp_path):
    (tmp_path / "img_tasks").rename(tmp_path / "store")
    (tmp_path / "img_tasks").symlink_to("store")
    assert find_run(str(tmp_path / "img_tasks/digits/experiment/version_3"), Path("/")) == two[0]
    (tmp_path / "lightning_checkpoints").rename(tmp_path / "others")
    (tmp_path / "lightning_checkpoints").symlink_to("others")
    assert find_run(str(tmp_path / "lightning_checkpoints/digits/best.ckpt"), Path("/")) == two[1]


def test_by_checkpoint(two, tmp_path):
    folder, other = tmp_path / "lightning_checkpoints" / "digits", Path("/")
    assert find_run(str(folder / "version_3-last.ckpt"), other) == two[0]
    assert find_run(str(folder / "epoch=03-val_accuracy=0.93.ckpt"), other) == two[0]
    for link in ("best.ckpt", "last.ckpt"):
        assert find_run(str(folder / link), other) == two[1]


def test_by_the_newest_checkpoints_where_links_are_plain_files(two, tmp_path):
    best = tmp_path / "lightning_checkpoints" / "digits" / "best.ckpt"
    best.unlink()
    best.touch()
    assert find_run(str(best), tmp_path) == two[1]


def test_a_damaged_list_of_checkpoints_claims_nothing(two, tmp_path):
    two[1].checkpoint_list.write_text("[]")
    two[0].checkpoint_list.write_text("{")
    folder = tmp_path / "lightning_checkpoints" / "digits"
    assert find_run(str(folder / "version_12-last.ckpt"), tmp_path) == two[1]
    with pytest.raises(CheckpointError):
        find_run(str(folder / "epoch=03-val_accuracy=0.93.ckpt"), tmp_path)


@pytest.mark.parametrize(
    ("meant", "hint"),
    [
        ("digits/4", "Did you mean digits/3"),
        ("digit/version_12", "Did you mean digits/12"),
        ("nothing-like-it", "there are digits/3, digits/12."),
        ("", "there are digits/3, digits/12."),
        ("img_tasks/digits/experiment/version_4", "there are digits/3"),
        ("version_3", "there are digits/3"),
        ("lightning_checkpoints/digits/missing.ckpt", "there are digits/3"),
    ],
)
def test_what_is_no_run_is_rejected_with_those_that_there_are(two, tmp_path, monkeypatch, meant, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="expected a run") as rejection:
        find_run(meant, tmp_path)
    assert hint in str(rejection.value)


def test_a_root_without_runs_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=f"Under {tmp_path} there is no run"):
        find_run("digits/0", tmp_path)


def test_a_checkpoint_away_from_its_folder_is_rejected(two, tmp_path):
    moved = tmp_path / "version_3-last.ckpt"
    two[0].last.rename(moved)
    with pytest.raises(CheckpointError):
        find_run(str(moved), tmp_path)
