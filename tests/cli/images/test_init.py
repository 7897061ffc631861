"""`triptych init` in real processes, from a folder to a config that trains."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.config import load_config
from triptych.data.builder import load_dataset


@pytest.fixture
def run(command: Callable, tmp_path: Path) -> Callable[..., str]:
    """Run the command in the test's folder, expect its exit code, and return what it prints."""

    def in_folder(*arguments: str | Path, code: int = 0) -> str:
        printed: str = command(*arguments, before=f"import os; os.chdir({str(tmp_path)!r})").ends(code)
        return printed

    return in_folder


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


def test_digits_get_a_config_without_flips_that_explains_it(run: Callable, digits: Path, tmp_path: Path) -> None:
    printed = run("init", digits, "--out", "digits.yaml")

    assert "flips  no: the classes are characters or numbers" in printed
    assert "horizontal_flip: 0        # none: the classes are characters" in (tmp_path / "digits.yaml").read_text()
    config = load_config(tmp_path / "digits.yaml")
    assert config.dataset.augmentation.horizontal_flip == 0
    assert (config.dataset.channels, config.dataset.image_size) == (1, 16)
    assert config.dataset.root == str(digits)


def test_requested_flips_are_given(run: Callable, digits: Path, tmp_path: Path) -> None:
    printed = run("init", digits, "--flips", "--out", "digits.yaml")

    assert "flips  yes: as requested" in printed
    assert load_config(tmp_path / "digits.yaml").dataset.augmentation.horizontal_flip == 0.5


def test_the_suggested_config_trains_without_corrupt_images(run: Callable, textures: Path) -> None:
    printed = run("init", textures.name, "--out", "configs/textures.yaml")

    assert "corrupt  1 of 81 images: fine/bad.jpg" in printed
    assert "flips  yes" in printed
    printed = run("train", "configs/textures.yaml", "--epochs", "1")
    assert "test accuracy" in printed
    assert "1 of 81 images cannot be decoded and are left out" in printed


def test_a_table_is_inspected_like_a_folder(run: Callable, digits: Path, tmp_path: Path) -> None:
    rows = [f"{file.relative_to(digits.parent)},{file.parent.name}" for file in sorted(digits.rglob("*.png"))]
    shutil.copytree(digits, tmp_path / "digits")
    (tmp_path / "images.csv").write_text("\n".join(["path,label", *rows]))

    run("init", "images.csv")

    assert load_config(tmp_path / "triptych.yaml").dataset.name == "table"


def test_an_existing_file_is_overwritten_only_by_force(run: Callable, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")

    assert "mine.yaml exists" in run("init", digits, "--out", "mine.yaml", code=2)
    assert (tmp_path / "mine.yaml").read_text() == "mine"

    printed = run("init", digits, "--out", "mine.yaml", "--force", "--size", "24x16", "--epochs", "3")
    config = load_config(tmp_path / "mine.yaml")
    assert (config.dataset.image_size, config.training.epochs) == ([24, 16], 3)
    assert "size  24 x 16 (as requested)" in printed
    assert "time  about" in printed
    assert (tmp_path / "mine.yaml").read_text().startswith("# triptych train mine.yaml\n")


@pytest.mark.parametrize("size", ["7", "0", "2000", "64x", "x64", "64x7", "a", "-64", "64x64x3"])
def test_an_impossible_size_is_one_message(run: Callable, digits: Path, size: str) -> None:
    assert "expected pixels from 8 to 1024" in run("init", digits, f"--size={size}", code=2)


def test_columns_of_a_table_can_be_named(run: Callable, digits: Path, tmp_path: Path) -> None:
    rows = [f"{file},{file.parent.name}" for file in sorted(digits.rglob("*.png"))]
    (tmp_path / "images.csv").write_text("\n".join(["file,digit", *rows]))

    run("init", "images.csv", "--column", "path", "file", "--column", "label", "digit")

    columns = load_config(tmp_path / "triptych.yaml").dataset.columns
    assert (columns.path, columns.label) == ("file", "digit")


def test_a_config_is_recognised_where_images_are_expected(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("dataset: {name: digits}\n")

    assert "got a config" in run("init", "run.yaml", code=2)


@pytest.mark.parametrize(
    ("place", "reason"),
    [("nowhere", "no such folder"), ("empty", "expected a folder of images for each class")],
)
def test_anything_else_than_images_is_one_message(run: Callable, tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()

    printed = run("init", place, code=2)

    assert reason in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "triptych.yaml").exists()
