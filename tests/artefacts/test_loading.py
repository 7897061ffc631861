"""Models by the place where they lie."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import triptych
from triptych.artefacts.loading import load
from triptych.errors import CheckpointError
from triptych.runs.checkpoint_list import write_names
from triptych.runs.folders import RunFolders, new_run

IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def run(make_checkpoint, tmp_path) -> RunFolders:
    """The folders of a run, with a best and a last checkpoint."""
    folders = new_run(tmp_path / "runs", "digits")
    save_run(folders, make_checkpoint)
    return folders


def save_run(folders, make_checkpoint, seed=0):
    folders.checkpoints.mkdir(parents=True, exist_ok=True)
    best = f"epoch=0{seed}-val_accuracy=0.50.ckpt"
    torch.save(make_checkpoint(seed=seed), folders.checkpoints / best)
    torch.save(make_checkpoint(seed=seed + 100), folders.last)
    write_names(folders, best=best, files=[best, folders.last.name])


def test_a_run_is_its_best_checkpoint_by_every_name_of_its_folders(run):
    best = run.checkpoints / "epoch=00-val_accuracy=0.50.ckpt"
    expected = load(best, device="cpu").embed(IMAGE).vectors
    (run.checkpoints / "best.ckpt").symlink_to(best.name)

    places = (best, run.version_folder, run.root, run.checkpoints, run.checkpoints / "best.ckpt")
    for place in (*places, *map(str, places)):
        assert np.array_equal(load(place, device="cpu").embed(IMAGE).vectors, expected), place
    assert not np.array_equal(load(run.last, device="cpu").embed(IMAGE).vectors, expected)


def test_a_run_has_a_name_even_where_images_have_the_same_one(run, monkeypatch):
    monkeypatch.chdir(run.root)
    best = run.checkpoints / "epoch=00-val_accuracy=0.50.ckpt"
    for name in ("digits/0", "digits/version_0", "digits/0/"):
        assert load(name, device="cpu").path.resolve() == best
    Path("digits/0").mkdir(parents=True)  # the images of a class
    assert load("digits/0", device="cpu").path.resolve() == best
    with pytest.raises(CheckpointError, match=r"Did you mean digits/0\?"):
        load("digits/1")


def test_a_config_is_recognised(run, monkeypatch):
    monkeypatch.chdir(run.root)
    for name in ("digits.yaml", "runs/digits.YML"):
        with pytest.raises(CheckpointError, match="is a config: expected a checkpoint"):
            load(name)


def test_of_an_output_directory_the_run_that_saved_last_counts(run, make_checkpoint):
    second = new_run(run.root, "digits")
    assert load(run.root, device="cpu").path.name.startswith("epoch=00")  # the second has saved nothing yet
    save_run(second, make_checkpoint, seed=1)
    assert load(run.root, device="cpu").path.name.startswith("epoch=01")


def test_a_legacy_file_loads_like_a_checkpoint(make_checkpoint, tmp_path):
    content = make_checkpoint()
    torch.save(content, tmp_path / "new.ckpt")
    weights = {name.removeprefix("model."): value for name, value in content["state_dict"].items()}
    torch.save({"model_state_dict": weights, "config": content["hyper_parameters"]["config"]}, tmp_path / "old.pth")

    new, old = (load(tmp_path / name, device="cpu") for name in ("new.ckpt", "old.pth"))

    assert np.array_equal(new.embed(IMAGE).vectors, old.embed(IMAGE).vectors)
    assert new.fingerprint == old.fingerprint
    assert old.classes == tuple("0123456789")


def test_a_path_in_the_home_folder_is_found(make_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(make_checkpoint(), tmp_path / "model.ckpt")

    assert load("~/model.ckpt", device="cpu").embedding_dim == 6


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing.ckpt", "there is no such file"),
        ("empty", r"expected a checkpoint, the version folder of a run .* folder without any run"),
        ("runs", "no best checkpoint yet"),
        ("note.txt", "cannot be read as a checkpoint"),
    ],
)
def test_where_no_model_is_the_message_names_what_was_expected(tmp_path, place, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    new_run(tmp_path / "runs", "digits")

    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / place)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "", "meta "])
def test_a_device_that_is_not_there_is_rejected(digits_model, device):
    with pytest.raises(ValueError, match="expected a device of this machine"):
        load(digits_model.path, device=device)


def test_loading_and_embedding_need_no_lightning(digits_model, tmp_path):
    program = (
        "import sys, numpy, triptych\n"
        f"model = triptych.load({str(digits_model.path)!r}, device='cpu')\n"
        "model.embed(numpy.zeros((8, 8), numpy.uint8)); model.sample(1)\n"
        "found = {'lightning', 'pytorch_lightning', 'sklearn', 'matplotlib', 'tensorboard'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=Path(triptych.__file__).parents[1])
