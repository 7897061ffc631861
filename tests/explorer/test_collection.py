"""The images of a page: of a run, of a folder with classes or without, and of a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from triptych.errors import DataError
from triptych.explorer.collection import Collection, of_images


@pytest.fixture(scope="module")
def gather(digits_run: Path) -> Callable[[Path], Collection]:
    description = triptych.load(digits_run).description
    return lambda place: of_images(place, description)


def test_class_folders_are_labels(gather: Callable, digit_files: Callable) -> None:
    folder = digit_files(40)

    found = gather(folder)

    assert len(found) == 40
    assert found.split_names == ("images",)
    assert found.has_labels
    for row in (0, 17, 39):
        assert found.name(row).startswith(f"{found.classes[int(found.labels[row])]}/")
        pixels = np.asarray(Image.open(folder / found.name(row)))
        np.testing.assert_array_equal(found.images[row][0], pixels)
        assert found.original(row) == folder / found.name(row)


def test_folders_of_other_names_are_images_without_labels(gather: Callable, digit_files: Callable) -> None:
    found = gather(digit_files(40, classes={"0": "zero", "1": "one"}))

    labels = found.labels.tolist()
    unknown = [label < 0 for label in labels]
    assert unknown == [found.name(row).split("/")[0] in ("zero", "one") for row in range(len(found))]
    assert not found.has_labels


def test_loose_files_have_no_labels(gather: Callable, digit_files: Callable, tmp_path: Path) -> None:
    for number, file in enumerate(sorted(digit_files(10).rglob("*.png"))):
        (tmp_path / f"{number}.png").write_bytes(file.read_bytes())

    assert torch.equal(gather(tmp_path).labels, torch.full((10,), -1))
    assert gather(tmp_path).name(9) == "9.png"


def test_splits_in_folders_are_kept(gather: Callable, digit_files: Callable, tmp_path: Path) -> None:
    for split in ("train", "test"):
        digit_files(30).rename(tmp_path / split)

    found = gather(tmp_path)

    assert found.split_names == ("train", "val", "test")
    assert sorted(set(found.split.tolist())) == [0, 2]
    assert found.name(0).startswith("train/")


def test_a_table_is_listed(gather: Callable, digit_files: Callable) -> None:
    folder = digit_files(20)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{file},{file.split('/')[0]}" for file in files]
    (folder / "table.csv").write_text("path,label\n" + "\n".join(rows) + "\n")

    found = gather(folder / "table.csv")

    assert [found.name(row) for row in range(20)] == files
    assert [found.classes[label] for label in found.labels.tolist()] == [file.split("/")[0] for file in files]


def test_files_that_cannot_be_decoded_are_left_out(gather: Callable, digit_files: Callable) -> None:
    folder = digit_files(20)
    (folder / "1" / "broken.png").write_bytes(b"\x89PNG broken")

    found = gather(folder)

    assert len(found) == 20
    assert any("1 file cannot be decoded (left out): 1/broken.png" in note for note in found.notes)
    assert all(found.original(row) == folder / found.name(row) for row in range(20))


@pytest.mark.parametrize("kind", ["nothing", "text", "empty"])
def test_what_is_no_collection_is_named(gather: Callable, tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no images")

    with pytest.raises(DataError, match=str(tmp_path / kind)):
        gather(tmp_path / kind)
