"""`triptych doctor`, as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def run(*arguments: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "triptych", "doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, and 200 images of 40 classes, one of them with the name of a markup, and one file corrupt."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name in ("[red]cat", *(f"kind{number}" for number in range(39))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 256, (12, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "[red]cat" / "[bold].jpg").write_text("no image")
    (tmp_path / "photos.yaml").write_text("dataset: {name: folder, root: photos, image_size: 16, batch_size: 16}\n")
    return tmp_path


def test_it_lists_what_it_finds_and_what_will_be_done_and_fails_where_training_would(folder: Path) -> None:
    shown = run("photos.yaml", folder=folder)

    assert shown.returncode == 1, shown.stderr
    assert "200 of photos, as 16x16x3" in shown.stdout
    assert "height  12 to 12, in the middle 12" in shown.stdout
    assert "[red]cat" in shown.stdout
    assert "... 10 more" in shown.stdout
    assert "wrong  corrupt files: 1 of 201 images cannot be decoded. Training refuses to begin" in shown.stdout
    assert "- [red]cat/[bold].jpg is none of JPEG" in shown.stdout
    assert "warning  pairs: " in shown.stdout
    assert shown.stdout.endswith("verdict  training would be wrong\n")


def test_it_succeeds_where_training_would_and_says_the_same_as_json(folder: Path) -> None:
    shown = run("photos.yaml", "--set", "dataset.on_corrupt=skip", folder=folder)
    told = run("photos.yaml", "--set", "dataset.on_corrupt=skip", "--json", folder=folder)

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    facts = json.loads(told.stdout)
    assert facts["is_wrong"] is False
    assert facts["classes"]["[red]cat"].keys() == {"train", "validation", "test"}
    for finding in facts["findings"]:
        assert f"{finding['topic']}: {finding['text']} {finding['remedy']}" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.yaml"], "nothing.yaml"),
        (["photos.yaml", "--set", "dataset.root=elsewhere"], "no such folder"),
        (["photos.yaml", "--set", "dataset.colour=blue"], "colour"),
    ],
)
def test_a_mistake_is_one_message_and_another_exit_code(folder: Path, arguments: list[str], reason: str) -> None:
    shown = run(*arguments, folder=folder)

    assert shown.returncode == 2
    assert reason in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def test_training_says_the_cheap_part_itself_and_refuses_before_it_takes_a_folder(folder: Path) -> None:
    config = folder / "pk.yaml"
    config.write_text((folder / "photos.yaml").read_text().replace("}", ", on_corrupt: skip}"))
    train = [sys.executable, "-m", "triptych", "train", "--config", "pk.yaml", "--epochs", "1"]

    changes = ("sampling=pk", "classes_per_batch=50", "batch_size=100")
    impossible = [part for change in changes for part in ("--set", f"dataset.{change}")]
    refused = subprocess.run(
        [*train, *impossible], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )

    assert refused.returncode == 2
    assert "there are 40 classes" in refused.stderr
    assert not (folder / "img_tasks").exists()
    small = ["model.embed_dim=12", "model.num_layers=1", "logging.embeddings=false", "logging.triplet_samples=false"]
    settings = [part for change in small for part in ("--set", change)]
    trained = subprocess.run([*train, *settings], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert trained.returncode == 0, trained.stderr
    assert "have another one of their class in it" in trained.stdout
