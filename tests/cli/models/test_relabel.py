"""`triptych relabel`: from an audit to the next training, with a user's own corrections."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

WRONG = 18
"""Ones in the folder of zeros."""
"""An image of a one in the folder of zeros."""


@pytest.fixture
def photos(tmp_path: Path, small_run: dict[str, dict[str, Any]]) -> Path:
    """All zeros and ones as PNG files, some of them in the wrong folder; returns the folder of a short run's config."""
    digits, labels = load_digits(return_X_y=True)
    wrong = np.flatnonzero(labels == 1)[::10][:WRONG]
    for number in np.flatnonzero(labels < 2):
        folder = "0" if number in wrong else str(labels[number])
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        pixels = (digits[number].reshape(8, 8) * 255 / 16).astype(np.uint8)
        name = f"wrong-{number}.png" if number in wrong else f"{number}.png"
        Image.fromarray(pixels).save(tmp_path / "photos" / folder / name)
    small_run["dataset"] = {"name": "folder", "root": str(tmp_path / "photos"), "image_size": 8, "batch_size": 16}
    small_run["training"] |= {"epochs": 6, "deterministic": False, "use_multitask_loss": False}
    (tmp_path / "photos.yaml").write_text(yaml.safe_dump(small_run))
    return tmp_path


def rows(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def test_what_an_audit_finds_is_corrected_in_the_next_training(command: Callable, photos: Path) -> None:
    command("train", photos / "photos.yaml", "--output", photos).ends(0)
    command("audit", "photos/0", "--output", photos).ends(0)
    out = photos / "corrections.csv"

    printed = command("relabel", "photos/0", "--output", photos, "--out", out).ends(0)

    assert f"--set dataset.corrections={out}" in printed
    corrected = rows(out)
    found = [path for path, label in corrected.items() if path.startswith("0/wrong-") and label == "1"]
    assert len(found) >= WRONG // 2
    assert len(corrected) - len(found) <= WRONG // 6
    printed = command(
        "train", photos / "photos.yaml", "--output", photos, "--epochs", "1", "--set", f"dataset.corrections={out}"
    ).ends(0)
    assert f"{len(corrected)} labels are corrected and 0 images are left out" in printed
    assert all((photos / "photos" / path).is_file() for path in corrected)

    command("audit", "photos/1", "--output", photos).ends(0)
    again = photos / "again.csv"
    printed = command("relabel", "photos/1", "--output", photos, "--top", "0", "--out", again).ends(0)
    assert rows(again) == corrected
    assert f"The run's own {len(corrected)} corrections are among them" in printed


def test_an_existing_file_is_not_overwritten(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "label_issues.csv").write_text("split,index,file,suggested,likely\ntest,1,a.jpg,cat,yes\n")

    assert "exists already" in command("relabel", tmp_path, "--out", tmp_path / "mine.csv").ends(2)

    assert (tmp_path / "mine.csv").read_text() == "mine"
    printed = command("relabel", tmp_path, "--out", tmp_path / "mine.csv", "--force").ends(0)
    assert "1 labels corrected and 0 images dropped" in printed
    assert (tmp_path / "mine.csv").read_text() == "path,label\na.jpg,cat\n"


def test_own_corrections_take_precedence(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "label_issues.csv").write_text(
        "split,index,file,suggested,likely\ntest,1,a.jpg,cat,yes\ntest,2,b.jpg,dog,yes\n"
    )
    (tmp_path / "own.csv").write_text("path,label\nb.jpg,\n")

    command("relabel", tmp_path, "--out", tmp_path / "out.csv", "--corrections", tmp_path / "own.csv").ends(0)

    assert (tmp_path / "out.csv").read_text() == "path,label\na.jpg,cat\nb.jpg,\n"
