"""The order in which folders are looked in, and how they are described."""

import os
from pathlib import Path

import pytest

from triptych.data.known.locate import Place, cache_folder, first_found, places
from triptych.errors import DataError


def test_root_comes_before_the_variable_before_the_system(monkeypatch):
    monkeypatch.setenv("TRIPTYCH_DATA", os.pathsep.join(["first", "", "~/second"]))
    looked = [(place.title, place.folder) for place in places("named", ("/usr/share/datasets/mnist",))]
    assert looked == [
        ("root", Path("named")),
        ("TRIPTYCH_DATA", Path("first")),
        ("TRIPTYCH_DATA", Path.home() / "second"),
        ("system", Path("/usr/share/datasets/mnist")),
    ]


@pytest.mark.parametrize("value", [None, ""])
def test_without_root_and_variable_only_the_system_is_left(monkeypatch, value):
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("TRIPTYCH_DATA", value)
    assert places(None, ("system-folder",)) == [Place("system", Path("system-folder"))]


def test_the_cache_is_a_folder_of_the_user_named_after_the_program():
    assert "triptych" in cache_folder().parts[-2:]


def test_a_place_reports_whether_it_exists(tmp_path):
    assert str(Place("root", tmp_path)) == f"root: {tmp_path}"
    assert str(Place("root", tmp_path / "x")) == f"root: {tmp_path / 'x'} (no such folder)"


def test_folders_below_a_place_are_tried_in_their_order(tmp_path):
    for name in ("b", "c"):
        (tmp_path / name).mkdir()

    def find(folder: Path) -> Path | None:
        return folder if folder.is_dir() else None

    assert first_found([tmp_path / name for name in "abc"], find) == tmp_path / "b"
    assert first_found([tmp_path / "a"], find) is None
    assert first_found([], find) is None


def test_a_folder_that_may_not_be_looked_into_is_named_instead_of_skipped(tmp_path):
    def find(folder: Path) -> Path | None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(DataError, match=r"cannot be looked into \(Permission denied\)") as caught:
        first_found([tmp_path], find)
    assert str(tmp_path) in str(caught.value)
