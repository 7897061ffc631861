"""A run that was killed or stopped at any moment ends, after --resume, like one that was never interrupted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from triptych.config import load_config
from triptych.errors import CheckpointError, ImageWarning
from triptych.evaluation.opening import open_model
from triptych.runs.folders import RunFolders
from triptych.training.checkpoints.resuming import Resumption, resumption

# The process kills itself before it renames a file to a name of this form for the n-th time, or removes it.
KILLER = """
import os, re, signal, sys
left = {count}
def hook(event, arguments):
    global left
    target = arguments[1] if event == "os.rename" else arguments[0] if event == "os.remove" else None
    if isinstance(target, (str, os.PathLike)) and re.search({pattern!r}, f"{{event}} {{os.fspath(target)}}"):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
IN_THE_STEP = """
import os
from triptych.training.modules import TaskModule
plain, signals = TaskModule.training_step, {signals}
def training_step(self, batch, batch_idx):
    while self.global_step == {step} and signals:
        os.kill(os.getpid(), signals.pop(0))
    return plain(self, batch, batch_idx)
TaskModule.training_step = training_step
"""

MOMENTS = {
    "before anything was saved": KILLER.format(pattern="os.rename .*/config.yaml", count=1),
    "before the untrained state": KILLER.format(pattern="os.rename .*/version_0-last.ckpt", count=1),
    "before the first link": KILLER.format(pattern="os.rename .*/last.ckpt", count=1),
    "in the first epoch": IN_THE_STEP.format(step=2, signals=[9]),
    "before the first best": KILLER.format(pattern="os.rename .*/epoch=01.*ckpt", count=1),
    "between best and last": KILLER.format(pattern="os.rename .*/version_0-last.ckpt", count=2),
    "between last and links": KILLER.format(pattern="os.rename .*/best.ckpt", count=1),
    "in the second epoch": IN_THE_STEP.format(step=8, signals=[9]),
    "before the surpassed best is removed": KILLER.format(pattern="os.remove .*/epoch=01.*ckpt", count=1),
    "after the last epoch": KILLER.format(pattern="os.rename .*/checkpoints.json", count=6),
    "before the metrics": KILLER.format(pattern="os.rename .*/metrics.json", count=1),
}


def last_state(output: Path) -> dict[str, Any]:
    return torch.load(output / "lightning_checkpoints" / "digits" / "last.ckpt", weights_only=True)


def version_folder(output: Path, version: int = 0) -> Path:
    return output / "img_tasks" / "digits" / "experiment" / f"version_{version}"


def metrics_of(output: Path) -> dict[str, Any]:
    return json.loads((version_folder(output) / "metrics.json").read_text())


def same(first: Any, second: Any) -> bool:
    """Compare two states bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return first == second


def assert_same_run(whole: Path, resumed: Path) -> None:
    expected, got = last_state(whole), last_state(resumed)
    for state in (expected, got):
        del state["callbacks"]["RunCheckpoints"]["seconds"]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "callbacks"):
        assert same(expected[part], got[part]), part
    first, second = metrics_of(whole), metrics_of(resumed)
    assert [first[key] for key in ("test", "val", "epochs")] == [second[key] for key in ("test", "val", "epochs")]
    best, best_of_resumed = Path(first["best_checkpoint"]), Path(second["best_checkpoint"])
    assert best.name == best_of_resumed.name
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in (best, best_of_resumed)]
    assert same(*weights)
    assert tree(whole) == tree(resumed)


def tree(output: Path) -> set[str]:
    """The files of an output root, without TensorBoard's, of which there is one more for every start."""
    files = {str(path.relative_to(output)) for path in output.rglob("*") if not path.is_dir()}
    return {name for name in files if "tfevents" not in name}


@pytest.fixture(scope="module")
def run(command: Callable, quick_yaml: Path) -> Callable:
    """Start the quick run in a process of its own."""
    return lambda *arguments, **options: command("train", "--config", quick_yaml, *arguments, **options)


@pytest.fixture(scope="module")
def whole(run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that was never interrupted: to be compared with, not to be changed."""
    output = tmp_path_factory.mktemp("whole")
    run("--output", output).ends(0)
    return output


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(whole, tmp_path / "finished", symlinks=True)
    return tmp_path / "finished"


def test_a_run_killed_at_any_moment_ends_like_one_never_interrupted(whole, run, tmp_path):
    for number, (moment, before) in enumerate(MOMENTS.items()):
        output = tmp_path / str(number)
        run("--output", output, before=before).ends(-9)
        printed = run("--output", output, "--resume").ends(0)
        try:
            assert "resumes  version_0" in printed
            assert_same_run(whole, output)
        except AssertionError as error:
            error.add_note(f"killed {moment}")
            raise


def test_a_run_stopped_within_an_epoch_and_killed_and_stopped_again_resumes_exactly(whole, run, tmp_path):
    options = ("--output", tmp_path)
    run(*options, before=IN_THE_STEP.format(step=1, signals=[15])).ends(143)
    assert last_state(tmp_path)["global_step"] == 2
    run(*options, "--resume", before=IN_THE_STEP.format(step=4, signals=[9])).ends(-9)
    run(*options, "--resume", before=IN_THE_STEP.format(step=8, signals=[2])).ends(130)
    assert last_state(tmp_path)["global_step"] == 9
    run(*options, "--resume").ends(0)
    assert_same_run(whole, tmp_path)


def test_the_pictures_are_drawn_when_the_run_was_killed_between_them(run, tmp_path):
    options = ("--epochs", "1", "--output", tmp_path, "--set", "logging={embeddings: true, triplet_samples: true}")
    run(*options, before=KILLER.format(pattern="os.rename .*/embeddings_tsne.png", count=1)).ends(-9)
    before = metrics_of(tmp_path)
    printed = run(*options, "--resume").ends(0)
    assert "1/1" not in printed  # no epoch is trained
    assert {path.name for path in tmp_path.glob("*.png")} == {"embeddings_tsne.png", "triplet_samples_digits.png"}
    assert metrics_of(tmp_path)["test"] == before["test"]
    assert not [name for name in tree(tmp_path) if ".part" in name]


@pytest.mark.parametrize(("schedule", "epochs"), [("none", 2), ("LinearLR", 3)])
def test_a_run_that_stopped_early_stays_stopped_and_is_tested(run, tmp_path, schedule, epochs):
    options = ("--set", "training.early_stopping={patience: 1, min_delta: 1.0}", "--epochs", "5")
    options += ("--set", f"training.scheduler.name={schedule}")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*options, "--output", whole).ends(0)
    run(*options, "--output", killed, before=MOMENTS["before the metrics"]).ends(-9)
    run(*options, "--output", killed, "--resume").ends(0)
    assert metrics_of(whole)["epochs"] == epochs
    assert_same_run(whole, killed)


def test_a_run_killed_before_its_closing_epochs_skips_to_them_when_it_is_resumed(run, tmp_path):
    options = ("--set", "training.early_stopping={patience: 1, min_delta: 1.0}", "--epochs", "20")
    options += ("--set", "training.averaged_share=0.1", "--set", "dataset.unaugmented_share=0.05")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    printed = run(*options, "--output", whole).ends(0)
    assert "no better accuracy for 1 epochs: skipping to epoch 19" in printed
    between = KILLER.format(pattern="os.rename .*/checkpoints.json", count=5)  # the checkpoint is of before the skip
    run(*options, "--output", killed, before=between).ends(-9)
    run(*options, "--output", killed, "--resume").ends(0)
    assert metrics_of(whole)["epochs"] == 4
    assert_same_run(whole, killed)


def test_a_finished_run_is_resumed_from_its_best_and_with_more_epochs(whole, finished, run):
    (best,) = (finished / "lightning_checkpoints" / "digits").glob("epoch=*")
    run("--output", finished, "--resume", best).ends(0)
    assert metrics_of(finished)["test"] == metrics_of(whole)["test"]

    run("--resume", "--epochs", "3", "--output", finished).ends(0)
    assert metrics_of(finished)["epochs"] == 3
    assert [folder.name for folder in version_folder(finished).parent.iterdir()] == ["version_0"]


def test_a_deleted_version_folder_is_made_again(whole, finished, run):
    shutil.rmtree(version_folder(finished))
    run("--output", finished, "--resume").ends(0)
    assert_same_run(whole, finished)


def test_a_run_that_had_not_begun_is_begun_only_with_its_own_config(run, tmp_path, quick_yaml):
    run("--output", tmp_path, before=MOMENTS["before the untrained state"]).ends(-9)
    assert yaml.safe_load((version_folder(tmp_path) / "config.yaml").read_text())["training"]["seed"] == 0

    assert resumption(load_config(quick_yaml), output=tmp_path, path=None) == Resumption(
        None, RunFolders(tmp_path, "digits", 0)
    )
    with pytest.raises(CheckpointError, match=r"training.seed: 0 there, 1 now"):
        resumption(load_config(quick_yaml, ["training.seed=1"]), output=tmp_path, path=None)


def test_the_state_to_resume_from_is_found_by_any_of_its_names(whole, quick_yaml, monkeypatch):
    config = load_config(quick_yaml)
    folder = whole / "lightning_checkpoints" / "digits"
    last = resumption(config, output=whole, path=None)
    assert last.path == (folder / "version_0-last.ckpt").resolve()
    assert (last.folders, last.precision) == (RunFolders(whole, "digits", 0), "32-true")
    assert resumption(config, output=whole, path=folder / "last.ckpt") == last
    (best,) = folder.glob("epoch=*")
    assert resumption(config, output=whole, path=folder / "best.ckpt").path == best.resolve()
    monkeypatch.chdir(folder)
    assert resumption(config, output=Path("../.."), path=Path("last.ckpt")).path == last.path


def test_what_does_not_make_another_run_of_it_may_change(whole, quick_yaml):
    changes = ["logging.embeddings=true", "training.epochs=9", "dataset.num_workers=0", "training.accelerator=auto"]
    changes += ["training.precision=bf16-mixed", "training.compile=false"]
    assert resumption(load_config(quick_yaml, changes), output=whole, path=None).version == 0


@pytest.mark.parametrize(("configured", "kept"), [("auto", "bf16-mixed"), ("32-true", None)])
def test_automatic_choices_are_kept_and_explicit_ones_are_read_again(finished, quick_yaml, configured, kept):
    path = finished / "lightning_checkpoints" / "digits" / "version_0-last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["config"]["training"]["precision"] = configured
    checkpoint["triptych_run"]["precision"] = "bf16-mixed"
    torch.save(checkpoint, path)

    assert resumption(load_config(quick_yaml), output=finished, path=path).precision == kept


def test_a_checkpoint_from_before_the_precision_was_kept_is_resumed(finished, quick_yaml):
    path = finished / "lightning_checkpoints" / "digits" / "version_0-last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["triptych_run"]["precision"], checkpoint["hyper_parameters"]["config"]["training"]["compile"]
    torch.save(checkpoint, path)

    assert resumption(load_config(quick_yaml), output=finished, path=path).precision is None


def rejection(config: Path, output: Path, *overrides: str, path: Path | None = None) -> str:
    with pytest.raises(CheckpointError) as error:
        resumption(load_config(config, overrides), output=output, path=path)
    return str(error.value)


def test_another_config_is_rejected_with_what_differs(whole, quick_yaml):
    changes = ("model.embed_dim=32", "training.seed=1", "training.early_stopping.patience=3")
    message = rejection(quick_yaml, whole, *changes)
    assert "model.embed_dim: 16 there, 32 now" in message
    assert "training.seed: 0 there, 1 now" in message
    assert "training.early_stopping.patience: 10 there, 3 now" in message
    assert "2 epochs are finished" in rejection(quick_yaml, whole, "training.epochs=1")


def test_a_checkpoint_that_is_not_there_or_not_of_a_run_is_rejected(whole, quick_yaml, tmp_path):
    assert "Nothing to resume" in rejection(quick_yaml, tmp_path / "nowhere")
    assert "no such file" in rejection(quick_yaml, whole, path=tmp_path / "none.ckpt")
    assert "was rejected" in rejection(quick_yaml, whole, path=version_folder(whole) / "metrics.json")
    torch.save({"state_dict": {}}, tmp_path / "weights.pth")
    assert "with its whole state" in rejection(quick_yaml, whole, path=tmp_path / "weights.pth")


def test_a_checkpoint_that_would_resume_in_another_folder_is_rejected(finished, quick_yaml, tmp_path):
    folder = finished / "lightning_checkpoints" / "digits"
    shutil.copy(folder / "best.ckpt", tmp_path / "copy.ckpt")
    assert f"expected a checkpoint in {folder}" in rejection(quick_yaml, finished, path=tmp_path / "copy.ckpt")
    assert "--output" in rejection(quick_yaml, tmp_path / "elsewhere", path=folder / "last.ckpt")
    shutil.copy(folder / "best.ckpt", folder / "copy.ckpt")
    assert "not that run's" in rejection(quick_yaml, finished, path=folder / "copy.ckpt")


def test_a_run_without_its_best_or_last_checkpoint_is_rejected(finished, quick_yaml):
    folder = finished / "lightning_checkpoints" / "digits"
    (folder / "best.ckpt").resolve().unlink()
    assert "best checkpoint so far" in rejection(quick_yaml, finished)
    (folder / "version_0-last.ckpt").unlink()
    assert "no such file" in rejection(quick_yaml, finished)


def test_triplets_dropout_accumulation_and_averaged_weights_resume_exactly(run, tmp_path):
    training = "{accumulate_gradients: 4, triplet_mining: random, deterministic: true, devices: 1, accelerator: cpu}"
    options = (
        "--set",
        f"training={training}",
        "--set",
        "training.averaged_share=0.9",
        "--set",
        "model.dropout=0.2",
        "--set",
        "dataset.batch_size=64",
    )
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(*options, "--epochs", "2", "--output", whole).ends(0)
    run(*options, "--epochs", "2", "--output", stopped, before=IN_THE_STEP.format(step=2, signals=[15])).ends(143)
    assert last_state(stopped)["global_step"] == 3
    assert last_state(stopped)["trained_weights"]
    killed = IN_THE_STEP.format(step=8, signals=[9])
    run(*options, "--epochs", "2", "--output", stopped, "--resume", before=killed).ends(-9)
    run(*options, "--epochs", "2", "--output", stopped, "--resume").ends(0)
    assert_same_run(whole, stopped)
    expected, got = last_state(whole), last_state(stopped)
    assert same(expected["trained_weights"], got["trained_weights"])
    # Trained weights and average have batch statistics of their own.
    statistics = [name for name in got["trained_weights"] if name.endswith("running_var")]
    assert statistics
    assert not any(torch.equal(got["trained_weights"][name], got["state_dict"][name]) for name in statistics)


# What comes from elsewhere


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("callbacks", "RunCheckpoints", "best_name"), "../../../victim.ckpt"),
        (("callbacks", "RunCheckpoints", "best_name"), "/elsewhere/victim.ckpt"),
        (("callbacks", "RunCheckpoints", "best_name"), "version_7-last.ckpt"),
        (("callbacks", "RunCheckpoints", "best_name"), 3),
        (("callbacks", "RunCheckpoints"), {}),
        (("callbacks",), None),
        (("triptych_run", "dataset"), "../elsewhere"),
        (("triptych_run", "dataset"), ".."),
        (("triptych_run", "version"), "0"),
        (("triptych_run", "version"), -1),
        (("triptych_run",), []),
        (("loops",), {}),
        (("loops", "fit_loop", "epoch_progress"), 7),
        (("hyper_parameters",), "x"),
        (("hyper_parameters", "config"), None),
        (("optimizer_states",), None),
        (("lr_schedulers",), {}),
        (("global_step",), "many"),
    ],
)
def test_a_checkpoint_whose_entries_are_invalid_is_rejected_in_one_message(finished, quick_yaml, place, value):
    path = finished / "lightning_checkpoints" / "digits" / "version_0-last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    inside = checkpoint
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    torch.save(checkpoint, path)

    message = rejection(quick_yaml, finished)

    assert str(path) in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", ["../../../victim.ckpt", "/victim.ckpt", "..", "a/b.ckpt", "notes.txt", 3, None])
def test_a_list_of_checkpoints_that_names_paths_is_rejected(finished, quick_yaml, name):
    victim = finished.parent / "victim.ckpt"
    victim.touch()
    listed = version_folder(finished) / "checkpoints.json"
    listed.write_text(json.dumps({**json.loads(listed.read_text()), "files": [name]}))

    assert "expected plain names of checkpoints" in rejection(quick_yaml, finished)
    assert victim.exists()


@pytest.mark.parametrize("part", ["optimizer_states", "lr_schedulers", "loops"])
def test_a_state_that_cannot_be_restored_is_a_message(finished, run, part):
    path = finished / "lightning_checkpoints" / "digits" / "version_0-last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    if part == "loops":
        del checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    else:
        checkpoint[part] = [{}]
    torch.save(checkpoint, path)

    printed = run("--output", finished, "--resume", "--epochs", "3").ends(2)

    assert "its state cannot be restored" in printed
    assert "Traceback" not in printed


# Another place, other images, other processes


def folder_of_images(place: Path, *, seed: int, count: int) -> Path:
    generator = torch.Generator().manual_seed(seed)
    for name in ("cat", "dog"):
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(0, 256, (16, 16, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(place / name / f"{number}.png")
    return place


@pytest.fixture
def own(tmp_path: Path, quick_yaml: Path) -> Callable[[Path], tuple[str | Path, ...]]:
    """The arguments of a quick run on a folder of images."""
    dataset = "dataset={name: folder, root: %s, image_size: 16, batch_size: 8}"
    settings = ("--set", "model.patch_size=4", "--set", "training.epochs=1")
    return lambda root: ("--set", dataset % root, *settings, "--output", tmp_path / "out")


def test_a_run_whose_images_were_moved_keeps_its_own_folder_and_touches_no_other(run, own, tmp_path):
    first, other = (folder_of_images(tmp_path / name, seed=seed, count=20) for name, seed in (("a", 0), ("b", 1)))
    run(*own(first)).ends(0)
    run(*own(other)).ends(0)
    untouched = {
        path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if "/b/" in str(path) and path.is_file()
    }
    assert untouched

    last = tmp_path / "out" / "lightning_checkpoints" / "a" / "last.ckpt"
    printed = run(*own(other), "--epochs", "2", "--resume", last).ends(0)

    assert "images were replaced or edited (train, val, test)" in " ".join(printed.split())
    assert all(path.read_bytes() == content for path, content in untouched.items())
    assert json.loads((tmp_path / "out/img_tasks/a/experiment/version_0/metrics.json").read_text())["epochs"] == 2


def test_images_that_were_added_since_are_reported(run, own, command, tmp_path):
    root = folder_of_images(tmp_path / "a", seed=0, count=20)
    run(*own(root)).ends(0)
    explored = ("explore", "a/0", "--output", tmp_path / "out", "--static", tmp_path / "a.html", "--force")
    own_cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert "since training" not in command(*explored, environment=own_cache).ends(0)
    shutil.copy(root / "cat" / "0.png", root / "cat" / "new.png")

    with pytest.warns(ImageWarning, match="since training began, images were added, removed or relabelled"):
        open_model("a/0", output=tmp_path / "out")
    best = tmp_path / "out/lightning_checkpoints/a/best.ckpt"
    indexed = ("index", best, root, "--out", tmp_path / "index", "--calibrate", "--false-match-rate", "0.5")
    for verb in (explored, indexed):
        shown = " ".join(command(*verb, environment=own_cache).ends(0).split())
        assert shown.count("note since training began, images were added, removed or relabelled") == 1
    printed = run(*own(root), "--epochs", "2", "--resume").ends(0)

    assert "since training began, images were added, removed or relabelled" in " ".join(printed.split())


@pytest.mark.parametrize("renamed", [{"dog": "animal"}, {"": "owl"}], ids=["renamed", "added"])
def test_images_of_other_classes_are_rejected_and_no_file_changes(run, own, tmp_path, renamed):
    """A renamed class would change the order of the labels, and with it what the weights mean."""
    root = folder_of_images(tmp_path / "a", seed=0, count=20)
    run(*own(root)).ends(0)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for old, new in renamed.items():
        if old:
            (root / old).rename(root / new)
        else:
            shutil.copytree(root / "dog", root / new)

    printed = run(*own(root), "--epochs", "2", "--resume").ends(2)

    assert "expected images of the run's classes, cat, dog; got" in " ".join(printed.split())
    assert "Traceback" not in printed
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


def test_a_run_stopped_within_an_epoch_resumes_with_another_number_of_processes(run, tmp_path):
    options = ("--output", tmp_path, "--set", "dataset.batch_size=64", "--epochs", "2")
    run(*options, before=IN_THE_STEP.format(step=7, signals=[15])).ends(143)
    assert last_state(tmp_path)["global_step"] == 8  # of 21

    printed = run(*options, "--resume", "--set", "training.devices=2").ends(0)

    assert "2/2" in printed
    state = last_state(tmp_path)
    assert state["global_step"] == 2 * 11
    assert state["lr_schedulers"][0]["last_epoch"] == 2 * 11
