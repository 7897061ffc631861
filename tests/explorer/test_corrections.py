"""Corrections of the page: training reads the file, and no correction is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import triptych
from triptych.config import load_config
from triptych.data.builder import open_images
from triptych.errors import DataError
from triptych.evaluation.opening import open_model
from triptych.explorer import Explorer, explore
from triptych.explorer.collection import of_images
from triptych.explorer.corrections import ChangedElsewhereError, CorrectionsFile


def test_the_file_corrects_the_labels_of_the_next_training(
    explorer: Explorer, digits_run: Path, tmp_path: Path
) -> None:
    before = open_model(digits_run).data
    row, dropped = 12, 40
    wanted = (int(before.test.labels[row]) + 1) % 10
    file = CorrectionsFile(tmp_path / "corrections.csv", explorer.collection)

    rows = file.save(f"split,index,label\ntest,{row},{wanted}\ntest,{dropped},\n")

    assert rows == 2
    after = open_images(
        load_config({"dataset": {"name": "digits", "corrections": str(tmp_path / "corrections.csv")}})
    ).images.test
    assert int(after.labels[row]) == wanted
    assert len(after) == len(before.test) - 1
    assert torch.equal(after.images[dropped], before.test.images[dropped + 1])


def test_images_of_files_are_corrected_by_path(digits_run: Path, digit_files: Callable, tmp_path: Path) -> None:
    folder = digit_files(40)
    collection = of_images(folder, triptych.load(digits_run).description)
    name = collection.name(0)

    CorrectionsFile(tmp_path / "fixed.csv", collection).save(f"path,label\n{name},7\n")

    dataset = {"name": "folder", "root": str(folder), "image_size": 8, "corrections": str(tmp_path / "fixed.csv")}
    images = open_images(load_config({"dataset": dataset})).images
    labels = {
        file: images.classes[int(label)]
        for part in (images.train, images.validation or images.train, images.test)
        for file, label in zip(part.names or (), part.labels, strict=True)
    }
    assert labels.pop(name) == "7"
    assert all(label == file.split("/")[0] for file, label in labels.items())
    assert sorted(path.name for path in folder.iterdir()) == sorted(set(map(str, range(10))))


def test_corrections_of_other_images_stay(explorer: Explorer, tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text("split,index,label\ntest,5,9\ntrain,17,4\n")
    file = CorrectionsFile(path, explorer.collection)
    assert "train,17,4" in file.text()

    file.save("split,index,label\ntest,6,1\n")

    assert path.read_text() == "split,index,label\ntest,6,1\ntrain,17,4\n"


def test_the_run_s_own_corrections_are_the_beginning(digits_run: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    earlier = tmp_path / "earlier.csv"
    earlier.write_text("split,index,label\ntest,3,2\n")
    collection = replace(explore(digits_run, split="val").collection, corrections=earlier)
    file = CorrectionsFile(tmp_path / "corrections.csv", collection)
    index = int(collection.position[0])

    file.save(f"split,index,label\nval,{index},2\n")

    assert "test,3,2" in (tmp_path / "corrections.csv").read_text()
    assert earlier.read_text() == "split,index,label\ntest,3,2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split,index,label\ntest,99999,3\n", "Expected images of the page, got test 99999"),
        ("split,index,label\ntest,1,ten\n", "Expected classes of the model, or nothing to drop an image; got ten"),
        ("path,label\n0.png,1\n", "Expected images of the page"),
        ("nothing\n", "expected the columns path, label or split, index, label"),
        ("split,index,label\ntest,1,2\ntest,1,3\n", "expected one label"),
    ],
)
def test_what_is_no_correction_is_rejected(explorer: Explorer, tmp_path: Path, text: str, message: str) -> None:
    file = CorrectionsFile(tmp_path / "corrections.csv", explorer.collection)
    file.save("split,index,label\ntest,1,2\n")

    with pytest.raises(DataError, match=message):
        file.save(text)
    assert (tmp_path / "corrections.csv").read_text() == "split,index,label\ntest,1,2\n"


def test_a_file_that_is_no_table_is_not_replaced(explorer: Explorer, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("my,diary\n")

    with pytest.raises(
        DataError, match=r"mine\.csv: expected the columns path, label or split, index, label, but received my, diary"
    ):
        CorrectionsFile(tmp_path / "mine.csv", explorer.collection)


def test_a_page_that_does_not_know_the_newest_corrections_replaces_none(explorer: Explorer, tmp_path: Path) -> None:
    file = CorrectionsFile(tmp_path / "corrections.csv", explorer.collection)
    known = file.revision
    file.save("split,index,label\ntest,1,3\n", revision=known)

    with pytest.raises(ChangedElsewhereError, match="changed elsewhere"):
        file.save("split,index,label\ntest,2,4\n", revision=known)

    assert file.path.read_text() == "split,index,label\ntest,1,3\n"
    assert file.save("split,index,label\ntest,1,3\ntest,2,4\n", revision=file.revision) == 2


def test_a_file_that_was_changed_by_hand_is_read_again(explorer: Explorer, tmp_path: Path) -> None:
    file = CorrectionsFile(tmp_path / "corrections.csv", explorer.collection)
    file.save("split,index,label\ntest,1,3\n")
    known = file.revision

    file.path.write_text("split,index,label\ntest,1,3\ntest,8,5\n")

    assert file.text().splitlines() == ["split,index,label", "test,1,3", "test,8,5"]
    assert file.revision != known
    file.path.write_text("something else\n")
    with pytest.raises(DataError):
        file.save("split,index,label\ntest,1,3\n")
    assert file.path.read_text() == "something else\n"


def test_a_folder_that_is_gone_is_one_clear_message(explorer: Explorer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder must be")
    file = CorrectionsFile(tmp_path / "taken" / "corrections.csv", explorer.collection)

    with pytest.raises(DataError, match="can be written"):
        file.save("split,index,label\ntest,1,3\n")
