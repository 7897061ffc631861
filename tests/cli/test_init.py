"""`triptych init`, as a process of its own, from a folder to a config that trains."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.config import load_config
from triptych.data.sources import load_dataset


def run(*arguments: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "triptych", "init", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 300 real digits."""
    split, root = load_dataset("digits").train, tmp_path_factory.mktemp("images") / "digits"
    for number, (image, label) in enumerate(zip(split.images[:300], split.labels.tolist(), strict=False)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).resize((16, 16)).save(root / str(label) / f"{number}.png")
    return root


@pytest.fixture
def textures(tmp_path: Path) -> Path:
    """A folder with two kinds of noise, one image of it corrupt."""
    random, root = np.random.default_rng(0), tmp_path / "textures"
    for name, grain in (("coarse", 8), ("fine", 1)):
        (root / name).mkdir(parents=True)
        for number in range(40):
            noise = random.integers(0, 256, (64 // grain, 80 // grain, 3), np.uint8)
            Image.fromarray(noise).resize((80, 64)).save(root / name / f"{number}.jpg")
    (root / "fine" / "bad.jpg").write_bytes(b"")
    return root


def test_digits_get_a_config_without_flips_that_says_why(digits: Path, tmp_path: Path) -> None:
    shown = run(digits, "--out", "digits.yaml", folder=tmp_path)

    assert shown.returncode == 0, shown.stderr
    assert "flips  no: classes are characters or numbers" in shown.stdout
    assert "horizontal_flip: 0        # none: classes are characters" in (tmp_path / "digits.yaml").read_text()
    config = load_config(tmp_path / "digits.yaml")
    assert config.dataset.augmentation.horizontal_flip == 0
    assert (config.dataset.channels, config.dataset.image_size) == (1, 16)
    assert config.dataset.root == str(digits)


def test_asked_for_flips_are_given(digits: Path, tmp_path: Path) -> None:
    shown = run(digits, "--flips", "--out", "digits.yaml", folder=tmp_path)

    assert "flips  yes: as asked" in shown.stdout
    assert load_config(tmp_path / "digits.yaml").dataset.augmentation.horizontal_flip == 0.5


def test_what_is_suggested_trains_and_goes_on_without_what_is_corrupt(textures: Path) -> None:
    folder = textures.parent
    shown = run("textures", "--out", "configs/textures.yaml", folder=folder)

    assert shown.returncode == 0, shown.stderr
    assert "corrupt  1 of 81 images: fine/bad.jpg" in shown.stdout
    assert "flips  yes" in shown.stdout
    command = [sys.executable, "-m", "triptych", "train", "--config", "configs/textures.yaml", "--epochs", "1"]
    trained = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert trained.returncode == 0, trained.stderr
    assert "test accuracy" in trained.stdout
    assert "1 of 81 images cannot be decoded and are left out" in trained.stdout


def test_a_table_is_looked_at_like_a_folder(digits: Path, tmp_path: Path) -> None:
    rows = [f"{file.relative_to(digits.parent)},{file.parent.name}" for file in sorted(digits.rglob("*.png"))]
    shutil.copytree(digits, tmp_path / "digits")
    (tmp_path / "images.csv").write_text("\n".join(["path,label", *rows]))

    shown = run("images.csv", folder=tmp_path)

    assert shown.returncode == 0, shown.stderr
    assert load_config(tmp_path / "triptych.yaml").dataset.name == "table"


def test_a_file_that_is_there_stays(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")

    shown = run(digits, "--out", "mine.yaml", folder=tmp_path)

    assert shown.returncode == 2
    assert "there already" in shown.stderr
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_what_is_no_folder_of_images_ends_with_one_message(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for place, reason in (("nowhere", "no such folder"), ("empty", "expected a folder of images for each class")):
        shown = run(place, folder=tmp_path)
        assert shown.returncode == 2
        assert reason in shown.stderr
        assert "Traceback" not in shown.stderr
    assert not (tmp_path / "triptych.yaml").exists()
