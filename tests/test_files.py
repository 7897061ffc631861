"""Files that are whole or not there, on file systems of every kind."""

import os
from pathlib import Path

import pytest

from triptych.files import name_again, open_regular, place_once, point_to, remove_leftovers, replacing


def rejected(*arguments: object, **options: object) -> None:
    raise OSError(95, "Operation not supported")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_old_file_stands_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert content(path.parent) == {"note.txt": "new"}


def test_a_failure_keeps_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert content(tmp_path) == {"note.txt": "old"}


def test_a_file_and_its_name_are_on_the_disk_when_it_is_written(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    path = tmp_path / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert synced == [str(temporary), str(tmp_path)]


def test_two_writers_of_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "note.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert content(tmp_path) == {"note.txt": "first"}


def test_a_writer_sees_the_extension_of_the_file(tmp_path):
    with replacing(tmp_path / "picture.png") as temporary:
        assert temporary.suffix == ".png"


def test_a_file_is_as_readable_as_any_other_that_the_user_writes(tmp_path):
    mask = os.umask(0o027)
    try:
        with replacing(tmp_path / "note.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(mask)
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == 0o640


def test_files_of_a_killed_writer_are_hidden_and_can_be_removed(tmp_path):
    (tmp_path / "note.txt").write_text("old")
    child = os.fork()
    if not child:
        with replacing(tmp_path / "note.txt") as temporary:
            temporary.write_text("ne")
            os._exit(9)
    os.waitpid(child, 0)

    (leftover,) = (path for path in tmp_path.iterdir() if path.name != "note.txt")
    assert leftover.name.startswith(".")
    (tmp_path / ".lock").touch()
    remove_leftovers(tmp_path)

    assert content(tmp_path) == {"note.txt": "old", ".lock": ""}


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_second_name_keeps_the_content_when_the_first_is_replaced(tmp_path, monkeypatch, hard_links):
    if not hard_links:
        monkeypatch.setattr(os, "link", rejected)
    (tmp_path / "first").write_text("old")
    (tmp_path / "second").write_text("something else")

    name_again(tmp_path / "first", tmp_path / "second")

    assert content(tmp_path) == {"first": "old", "second": "old"}
    assert (tmp_path / "first").samefile(tmp_path / "second") is hard_links
    with replacing(tmp_path / "first") as temporary:
        temporary.write_text("new")
    assert content(tmp_path) == {"first": "new", "second": "old"}


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_two_files_for_one_name_the_first_stays(tmp_path, monkeypatch, hard_links):
    if not hard_links:
        monkeypatch.setattr(os, "link", rejected)
    for content in ("first", "second"):
        (tmp_path / "written").write_text(content)
        place_once(tmp_path / "written", tmp_path / "name")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("name", "first")]


def test_a_link_follows_its_file_and_can_be_led_elsewhere(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    point_to(tmp_path / "a", tmp_path / "link")
    (tmp_path / "a").write_text("changed")
    assert (tmp_path / "link").read_text() == "changed"

    point_to(tmp_path / "b", tmp_path / "link")

    assert content(tmp_path) == {"a": "changed", "b": "b", "link": "b"}
    assert (tmp_path / "link").readlink() == Path("b")  # it survives a move of the folder


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_link_is_a_file_of_its_own_where_there_are_no_symbolic_links(tmp_path, monkeypatch, hard_links):
    monkeypatch.setattr(Path, "symlink_to", rejected)
    if not hard_links:
        monkeypatch.setattr(os, "link", rejected)
    (tmp_path / "a").write_text("a")
    point_to(tmp_path / "a", tmp_path / "link")
    assert content(tmp_path) == {"a": "a", "link": "a"}
    assert not (tmp_path / "link").is_symlink()


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    os.mkfifo(tmp_path / "pipe")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path, error in (
        (tmp_path / "pipe", ValueError),
        (tmp_path, IsADirectoryError),
        (Path("/dev/zero"), ValueError),
    ):
        with pytest.raises(error):
            open_regular(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
