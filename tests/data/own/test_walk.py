"""Images in folders are found once, whatever links lead to them, and however they circle."""

import os
from pathlib import Path

import pytest

from triptych.data.own.folder import list_folder
from triptych.data.own.walk import find_images
from triptych.errors import DataError


def make(root: Path, *paths: str) -> Path:
    """Make empty files, or folders where a path ends in a slash."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).mkdir() if path.endswith("/") else (root / path).touch()
    return root


def test_links_to_files_and_folders_elsewhere_are_followed(tmp_path):
    outside = make(tmp_path / "outside", "cats/1.png", "cats/deep/2.png", "dog.png")
    root = make(tmp_path / "photos", "cat/0.png", "dog/")
    (root / "cat/more").symlink_to(outside / "cats")
    (root / "dog/a.png").symlink_to(outside / "dog.png")
    (root / "fox").symlink_to(make(tmp_path / "foxes", "1.png"))
    listing = list_folder(root)
    assert listing.names == ["cat/0.png", "cat/more/1.png", "cat/more/deep/2.png", "dog/a.png", "fox/1.png"]
    assert listing.notes == ()


def test_circles_of_links_end(tmp_path):
    make(tmp_path, "a/1.png", "b/1.png", "b/c/2.png")
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/far_up").symlink_to(tmp_path.parent)
    (tmp_path / "b/c/round").symlink_to("../../b")
    (tmp_path / "b/loop.png").symlink_to("loop.png")
    (tmp_path / "b/gone.png").symlink_to("nowhere.png")
    listing = list_folder(tmp_path)
    assert listing.names == ["a/1.png", "b/1.png", "b/c/2.png"]
    assert listing.notes == (
        "Left out 4 links to what is listed already: a/far_up, a/self, a/up, b/c/round.",
        "Left out 2 links that lead nowhere: b/gone.png, b/loop.png.",
    )


def test_a_file_is_listed_where_it_is_and_not_where_links_to_it_are(tmp_path):
    make(tmp_path, "a/", "b/2.png", "c/1.png")
    (tmp_path / "a/1.png").symlink_to("../b/2.png")
    (tmp_path / "a/folder").symlink_to("../c")
    listing = list_folder(tmp_path)
    assert listing.names == ["b/2.png", "c/1.png"]
    assert "Left out 1 class folders without images: a." in listing.notes
    assert "Left out 2 links to what is listed already: a/1.png, a/folder." in listing.notes


def test_of_several_links_to_a_file_outside_the_first_counts(tmp_path):
    outside = make(tmp_path / "outside", "1.png")
    root = make(tmp_path / "photos", "a/", "b/0.png")
    for name in ("b/1.png", "a/10.png", "a/9.png"):
        (root / name).symlink_to(outside / "1.png")
    assert list_folder(root).names == ["a/9.png", "b/0.png"]


def test_a_split_that_is_a_link_to_another_is_not_listed_twice(tmp_path):
    make(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/2.png", "test/b/2.png")
    (tmp_path / "val").symlink_to("test")
    listing = list_folder(tmp_path)
    assert listing.split.bincount().tolist() == [2, 0, 2]
    assert "Left out 2 links to what is listed already: val/a, val/b." in listing.notes


def test_pipes_and_folders_that_are_called_like_images_are_none(tmp_path):
    make(tmp_path, "a/1.png", "b/1.png", "b/folder.png/2.png")
    os.mkfifo(tmp_path / "a/pipe.png")
    found = find_images(tmp_path, ["a", "b"])
    assert found.images == [["a/1.png"], ["b/1.png", "b/folder.png/2.png"]]


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    make(tmp_path, "a/1.png", "b/1.png", "b/secret/2.png")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("triptych.data.own.walk.os.scandir", refusing)  # root, who may run this, may read everything
    with pytest.raises(DataError, match=r"b/secret: the folder cannot be read \(Permission denied\). Fix"):
        list_folder(tmp_path)


def test_a_link_to_a_file_beside_or_above_the_root_is_followed(tmp_path):
    for name in ("above.png", "photos/cat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "photos/cat/2.png").symlink_to(tmp_path / "above.png")
    found = find_images(tmp_path / "photos", ["cat"])
    assert found.images == [["cat/1.png", "cat/2.png"]]
    assert found.seen_again == []
