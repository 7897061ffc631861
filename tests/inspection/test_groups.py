"""Tables that keep duplicates together are read back and used."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.own.table import list_table
from triptych.errors import DataError
from triptych.inspection import Examination, examine
from triptych.inspection.groups import write_groups


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def saved(path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(path)


def examined(root: Path, name: str = "folder") -> Examination:
    return examine({"dataset": {"name": name, "root": root, "image_size": 32, "batch_size": 16}})


def rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="") as stream:
        return {row["path"]: row for row in csv.DictReader(stream)}


def test_duplicates_share_a_group_and_others_stand_alone(tmp_path: Path) -> None:
    for number in range(40):
        saved(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    saved(tmp_path / "photos" / "cat" / "again.png", 4)
    saved(tmp_path / "photos" / "cat" / "third.png", 4)

    written = write_groups(examined(tmp_path / "photos"), tmp_path / "groups.csv")

    assert (written.groups, written.images, written.moved) == (1, 3, 0)
    read = rows(tmp_path / "groups.csv")
    assert len(read) == 42
    grouped = {path for path, row in read.items() if row["group"]}
    assert grouped == {f"photos/cat/{name}.png" for name in ("4", "again", "third")}
    assert len({read[path]["group"] for path in grouped}) == 1
    assert {row["label"] for row in read.values()} == {"cat", "dog"}
    assert "split" not in read["photos/cat/4.png"]


def test_a_group_across_given_splits_moves_to_training(tmp_path: Path) -> None:
    seed = 0
    for split, count in (("train", 20), ("val", 10), ("test", 10)):
        for number in range(count):
            saved(tmp_path / split / ("cat", "dog")[number % 2] / f"{number}.png", seed := seed + 1)
    saved(tmp_path / "test" / "cat" / "leak.png", 1)
    before = examined(tmp_path)

    written = write_groups(before, tmp_path / "groups.csv")

    assert before.has_errors
    assert written.moved == 1
    assert rows(tmp_path / "groups.csv")["test/cat/leak.png"]["split"] == "train"
    assert not examined(tmp_path / "groups.csv", "table").findings[0].topic.startswith("leakage")


def test_existing_groups_are_kept_and_joined_by_duplicates(tmp_path: Path) -> None:
    lines = ["path,label,group"]
    for number in range(40):
        saved(tmp_path / f"{number}.png", 5 if number == 30 else number)
        lines.append(f"{number}.png,{('cat', 'dog')[number % 2]},{('ann', 'bob', '', '')[number // 10]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))

    write_groups(examined(tmp_path / "table.csv", "table"), tmp_path / "groups.csv")

    listing = list_table(tmp_path / "groups.csv")
    assert listing.groups is not None
    of = dict(zip(listing.names, listing.groups, strict=True))
    assert of["5.png"] == of["30.png"] == of["0.png"] != of["15.png"]
    assert of["10.png"] == of["15.png"]
    assert of["25.png"] is None


def test_strange_names_are_read_back_or_rejected(tmp_path: Path) -> None:
    names = ("=cat", 'a "quoted", name', "名前", "-1+1")
    for number in range(40):
        saved(tmp_path / "photos" / names[number % 4] / f"{number} ,;.png", number)

    write_groups(examined(tmp_path / "photos"), tmp_path / "groups.csv")

    assert set(list_table(tmp_path / "groups.csv").classes) == set(names)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("mine")
    for number in range(20):
        saved(tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png", number)

    with pytest.raises(DataError, match="exists"):
        write_groups(examined(tmp_path / "photos"), tmp_path / "groups.csv")

    assert (tmp_path / "groups.csv").read_text() == "mine"


def test_images_without_files_are_an_error(tmp_path: Path) -> None:
    found = examine({"dataset": {"name": "digits"}})

    with pytest.raises(DataError, match="Expected image files"):
        write_groups(found, tmp_path / "groups.csv")
