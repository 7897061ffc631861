"""`triptych doctor` in real processes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config, and 200 images of 40 classes, one of them with the name of a markup, and one file corrupt."""
    random = np.random.default_rng(0)
    for name in ("[red]cat", *(f"kind{number}" for number in range(39))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 256, (12, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "[red]cat" / "[bold].jpg").write_text("no image")
    (tmp_path / "photos.yaml").write_text("dataset: {name: folder, root: photos, image_size: 16, batch_size: 16}\n")
    return tmp_path


@pytest.fixture
def run(command: Callable, folder: Path) -> Callable[..., str]:
    """Run the command in that folder, expect its exit code, and return what it prints."""

    def in_folder(*arguments: str, code: int = 0) -> str:
        here = f"import os; os.chdir({str(folder)!r})"
        printed: str = command(*arguments, before=here, environment={"XDG_CACHE_HOME": str(folder / "cache")}).ends(
            code
        )
        return printed

    return in_folder


def test_findings_are_listed_and_errors_have_an_exit_code(run: Callable) -> None:
    printed = run("doctor", "photos.yaml", code=1)

    assert "200 of photos, as 16x16x3" in printed
    assert "height  12 to 12, median 12" in printed
    assert "[red]cat" in printed
    assert "... 10 more" in printed
    assert "error  corrupt files: 1 of 201 images cannot be decoded. Training stops;" in printed
    assert "- [red]cat/[bold].jpg is none of JPEG" in printed
    assert "warning  pairs: " in printed
    assert printed.endswith("verdict  fix the errors before training\n")


def test_without_errors_it_succeeds_and_prints_the_same_as_json(run: Callable) -> None:
    printed = run("doctor", "photos.yaml", "--set", "dataset.on_corrupt=skip")

    facts = json.loads(run("doctor", "photos.yaml", "--set", "dataset.on_corrupt=skip", "--json"))

    assert facts["has_errors"] is False
    assert facts["classes"]["[red]cat"].keys() == {"train", "validation", "test"}
    for finding in facts["findings"]:
        assert f"{finding['topic']}: {finding['text']} {finding['remedy']}".rstrip() in printed


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.yaml"], "nothing.yaml"),
        (["photos.yaml", "--set", "dataset.root=elsewhere"], "no such folder"),
        (["photos.yaml", "--set", "dataset.colour=blue"], "colour"),
    ],
)
def test_a_user_error_is_one_message_and_another_exit_code(run: Callable, arguments: list[str], reason: str) -> None:
    printed = run("doctor", *arguments, code=2)

    assert reason in printed
    assert "Traceback" not in printed


def test_training_reports_the_findings_about_labels_itself(run: Callable, folder: Path) -> None:
    config = folder / "pk.yaml"
    config.write_text((folder / "photos.yaml").read_text().replace("}", ", on_corrupt: skip}"))

    def train(*changes: str, code: int) -> str:
        settings = [part for change in changes for part in ("--set", change)]
        printed: str = run("train", "pk.yaml", "--epochs", "1", *settings, code=code)
        return printed

    impossible = ("dataset.sampling=pk", "dataset.classes_per_batch=50", "dataset.batch_size=100")
    assert "there are 40 classes" in train(*impossible, code=2)
    assert not (folder / "img_tasks").exists()
    small = ("model.embed_dim=12", "model.num_layers=1", "logging.embeddings=false", "logging.triplet_samples=false")
    assert "have another image of their class in it" in train(*small, code=0)


def test_the_config_may_follow_its_option_and_is_expected_once(run: Callable) -> None:
    skip = ("--set", "dataset.on_corrupt=skip")

    assert run("doctor", "--config", "photos.yaml", *skip) == run("doctor", "photos.yaml", *skip)
    assert "Expected one config" in run("doctor", code=2)
    assert "got two" in run("doctor", "photos.yaml", "--config", "photos.yaml", code=2)


def test_duplicates_are_written_as_groups_that_training_keeps_together(run: Callable, folder: Path) -> None:
    (folder / "photos" / "[red]cat" / "[bold].jpg").unlink()
    for name in ("kind1", "kind2", "kind3"):
        image = folder / "photos" / name / "0.png"
        (image.parent / "copy.png").write_bytes(image.read_bytes())

    printed = run("doctor", "photos.yaml", "--write-groups", "groups.csv", code=None)

    assert "groups  3 groups of 6 duplicates, in groups.csv" in printed
    command = printed.rpartition("next  ")[2].split()
    assert command[:3] == ["triptych", "doctor", "photos.yaml"]
    assert "leakage" not in run(*command[1:], code=None)
    assert "but it exists" in run("doctor", "photos.yaml", "--write-groups", "groups.csv", code=2)


def test_escape_sequences_in_names_are_printed_as_text(run: Callable, folder: Path) -> None:
    (folder / "photos" / "kind1").rename(folder / "photos" / "\x1b]0;kind\x07\r")
    (folder / "photos" / "kind2" / "\x1b[2J.jpg").write_text("no image")

    printed = run("doctor", "photos.yaml", code=1)

    assert r"\x1b]0;kind\x07\r" in printed
    assert r"kind2/\x1b[2J.jpg" in printed
    assert not {"\x1b", "\x07", "\r"} & set(printed)
