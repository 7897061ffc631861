"""Corrections relabel and drop images of folders and known data sets; whatever is wrong with them is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.config.schema import RunConfig
from triptych.data.builder import list_images, open_images
from triptych.data.splits.corrections import DROPPED, corrected_labels
from triptych.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.full((9, 9), 10 * number + (name == "dog"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def config(root: Path, name: str = "folder", **dataset: object) -> RunConfig:
    return RunConfig.model_validate(
        {"dataset": {"name": name, "root": str(root), "image_size": 9, **dataset}, "model": {"patch_size": 3}}
    )


def table(folder: Path, text: str) -> Path:
    (folder / "corrections.csv").write_text(text)
    return folder / "corrections.csv"


def labels(images) -> dict[str, str]:
    splits = (images.train, images.validation, images.test)
    return {
        name: images.classes[label]
        for split in splits
        for name, label in zip(split.names, split.labels.tolist(), strict=True)
    }


def test_images_are_relabelled_and_dropped_and_no_other_changes_sides(photos, tmp_path):
    before = open_images(config(photos)).images
    file = table(tmp_path, "path,label\ncat/3.png,dog\n./dog/4.png,\ndog/5.png,dog\n")

    after = open_images(config(photos, corrections=str(file))).images

    expected = labels(before) | {"cat/3.png": "dog"}
    del expected["dog/4.png"]
    assert labels(after) == expected
    for one, other in ((before.train, after.train), (before.validation, after.validation), (before.test, after.test)):
        assert list(other.names) == [name for name in one.names if name != "dog/4.png"]
    assert after.notes[-1] == f"1 labels are corrected and 1 images are left out by {file}."
    assert sorted(path.name for path in (photos / "cat").iterdir()) == sorted(f"{number}.png" for number in range(20))


def test_paths_may_be_absolute_or_have_backslashes(photos, tmp_path):
    file = table(tmp_path, f"path,label\n{photos}/dog/5.png,cat\ncat\\3.png,dog\n")
    before, after = open_images(config(photos)).images, open_images(config(photos, corrections=str(file))).images
    assert labels(after) == labels(before) | {"dog/5.png": "cat", "cat/3.png": "dog"}


def test_known_data_sets_are_corrected_by_split_and_index(tmp_path):
    file = table(tmp_path, "split,index,label\ntest,0,1\ntrain,5,\nvalidation,6,2\n")
    listing = list_images(RunConfig.model_validate({"dataset": {"name": "digits"}}).dataset)
    corrected = corrected_labels(listing, file)
    assert corrected.labels[[1437, 5, 6]].tolist() == [1, DROPPED, 2]
    changed = corrected.labels != listing.labels
    assert set(changed.nonzero()[:, 0].tolist()) <= {1437, 5, 6}

    opened = open_images(RunConfig.model_validate({"dataset": {"name": "digits", "corrections": str(file)}})).images
    assert len(opened.train) + len(opened.validation) == 1436
    assert opened.test.labels[0] == 1


def test_a_checkpoint_finds_the_corrections_from_another_folder(photos, tmp_path, monkeypatch):
    table(tmp_path, "path,label\ncat/3.png,dog\n")
    monkeypatch.chdir(tmp_path)
    chosen = open_images(config(photos, corrections="corrections.csv")).config
    assert chosen.dataset.corrections == str(tmp_path / "corrections.csv")


WRONG = {
    "path,label\ncat/99.png,dog\n": r"1 that do not exist: 'cat/99\.png' \(line 2\)",
    "path,label\ncat/3.png,dgo\n": "nothing to drop the image, in column label .*'dgo' in line 2. Did you mean 'dog'",
    "path,label\ncat/3.png,dog\ncat/3.png,cat\n": "each image once, but received cat/3.png in line 2 and line 3",
    "path\ncat/3.png\n": "a column label, but received the columns path",
    "label\ncat\n": "a column path, or the columns split and index, but received the columns label",
    "split,index,label\ntrain,40,cat\n": "1 that do not exist",
    "split,index,label\nfoo,0,cat\n": "1 that do not exist",
    "split,index,label\ntrain,-1,cat\n": "1 that do not exist",
    "path,label\ncat/3.png\n": "2 values in every row",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_with_corrections_is_named(photos, tmp_path, text):
    file = table(tmp_path, text)
    with pytest.raises(DataError, match=WRONG[text]) as caught:
        open_images(config(photos, corrections=str(file)))
    assert str(file) in str(caught.value)


def test_corrections_that_are_missing_are_named(photos, tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: expected a CSV file, but received nothing"):
        open_images(config(photos, corrections=str(tmp_path / "gone.csv")))
