"""What only the embedded index does: files, locks, readers beside a writer, damage."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from triptych.errors import SearchError
from triptych.search.embedded.index import EmbeddedIndex
from triptych.search.embedded.writer_lock import OWNER, writing

FINGERPRINT = "f0"


@pytest.fixture
def index(tmp_path: Path) -> EmbeddedIndex:
    index = EmbeddedIndex.create(tmp_path / "photos.index", dimension=4, fingerprint=FINGERPRINT, patience=0.2)
    add(index, 30, "old")
    return index


def add(index: EmbeddedIndex, count: int, prefix: str) -> None:
    vectors = np.random.default_rng(len(prefix)).standard_normal((count, 4))
    names = [f"{prefix}{number}" for number in range(count)]
    index.add(names, vectors, {"prefix": [prefix] * count}, fingerprint=FINGERPRINT)


def all_ids(index: EmbeddedIndex) -> set[str]:
    return {one.id for one in index.search(np.ones((1, 4)), 1000, fingerprint=FINGERPRINT)[0]}


def test_it_opens_again_with_all_that_was_added(index: EmbeddedIndex) -> None:
    index.delete(["old3"])

    again = EmbeddedIndex(index.folder)

    assert all_ids(again) == {f"old{number}" for number in range(30)} - {"old3"}


def test_an_open_reader_sees_every_change_of_another_process(index: EmbeddedIndex) -> None:
    reader = EmbeddedIndex(index.folder)
    for number in range(20):
        add(index, 1, f"new{number}-")

        assert len(all_ids(reader)) == 31 + number
    index.compact()
    index.delete(["old0"])

    assert "old0" not in all_ids(reader)


def test_a_state_that_is_open_stays_readable_while_it_is_replaced(index: EmbeddedIndex) -> None:
    state = index._newest()
    add(index, 30, "old")
    index.compact()

    found = state.search(np.ones((1, 4), np.float32), 100, None, exact=False)

    assert len(found[0]) == 30


def test_files_that_no_state_names_are_removed(index: EmbeddedIndex) -> None:
    (index.folder / "00000099.arrow").write_bytes(b"of a writer that was killed")
    (index.folder / ".manifest.json.abc.part.json").write_bytes(b"likewise")
    (index.folder / "notes.txt").write_text("mine")
    for number in range(20):
        add(index, 2, f"new{number}-")

    named = {name for one in index._newest().manifest.segments for name in one.names()}

    assert {path.name for path in index.folder.iterdir()} == named | {"manifest.json", "writer.lock", "notes.txt"}


def test_after_deleting_everything_the_index_is_empty(index: EmbeddedIndex) -> None:
    assert index.delete([f"old{number}" for number in range(40)]) == 30

    assert all_ids(index) == set()
    assert list(index.folder.glob("*.arrow")) == []
    index.compact()
    add(index, 3, "new")
    assert len(all_ids(index)) == 3


def test_a_second_writer_gets_a_message_that_names_the_first(index: EmbeddedIndex) -> None:
    program = (
        "import sys, pathlib; from triptych.search.embedded.writer_lock import writing\n"
        f"with writing(pathlib.Path({str(index.folder)!r})):\n"
        "    print('locked', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        with pytest.raises(SearchError, match=f"process {other.pid} on .*Searches continue"):
            add(index, 1, "new")
        assert len(all_ids(index)) == 30  # readers do not wait

        other.kill()
    add(index, 1, "new")

    assert len(all_ids(index)) == 31


def test_a_link_in_the_place_of_the_owner_is_not_written_through(index: EmbeddedIndex, tmp_path: Path) -> None:
    victim = tmp_path / "notes.txt"
    victim.write_text("mine")
    (index.folder / OWNER).symlink_to(victim)
    with writing(index.folder):
        pass
    assert victim.read_text() == "mine"


def test_the_owner_of_a_lock_cannot_write_to_the_terminal(index: EmbeddedIndex) -> None:
    with writing(index.folder):
        owner = {"process": 1, "host": "\x1b[31mred", "command": "x", "since": "now"}
        (index.folder / "writer.json").write_text(json.dumps(owner))

        with pytest.raises(SearchError) as error:
            index.delete(["a"])

    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("kind", ["folder with files", "file"])
def test_nothing_is_overwritten_by_a_new_index(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    if kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "mine.txt").write_text("mine")

    with pytest.raises(SearchError, match="expected a new or empty folder"):
        EmbeddedIndex.create(path, dimension=4, fingerprint=FINGERPRINT)


@pytest.mark.parametrize("path", ["missing", "file", "empty", "pipe"])
def test_what_is_no_index_is_an_error_that_explains_how_to_make_one(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "manifest.json")

    with pytest.raises(SearchError, match=r"expected a search index.*triptych index MODEL IMAGES"):
        EmbeddedIndex(tmp_path / path)


@pytest.mark.parametrize("dimension", [0, -3, 20_000, 2.5])
def test_a_new_index_has_a_dimension_in_range(tmp_path: Path, dimension: int) -> None:
    with pytest.raises(SearchError, match="dimension from 1 to 16,384"):
        EmbeddedIndex.create(tmp_path / "i", dimension=dimension, fingerprint=FINGERPRINT)

    assert not (tmp_path / "i").exists()


# Damage, by accident or on purpose


def damage(index: EmbeddedIndex, pattern: str) -> Path:
    (path,) = index.folder.glob(pattern)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    return path


def test_one_flipped_bit_of_the_rows_is_found_by_verifying_and_never_merged(index: EmbeddedIndex) -> None:
    index.verify()
    index.delete(["old1"])
    damage(index, "*.arrow")

    for action in (index.verify, index.compact):
        with pytest.raises(SearchError, match=r"00000000.arrow: expected the bytes that were written"):
            action()


def test_a_file_that_is_cut_off_is_an_error(index: EmbeddedIndex) -> None:
    (path,) = index.folder.glob("*.arrow")
    os.truncate(path, 100)

    with pytest.raises(SearchError, match="got 100: the file is damaged"):
        EmbeddedIndex(index.folder)


def test_one_flipped_bit_of_the_deletions_is_an_error(index: EmbeddedIndex) -> None:
    index.delete(["old1"])
    damage(index, "*.deleted.npy")

    with pytest.raises(SearchError, match="expected the bytes that were written"):
        EmbeddedIndex(index.folder)


def test_a_file_that_is_missing_is_an_error(index: EmbeddedIndex) -> None:
    (path,) = index.folder.glob("*.arrow")
    path.unlink()

    with pytest.raises(SearchError, match="expected a file of the index, but it is gone"):
        EmbeddedIndex(index.folder)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"segments": [{"number": "../../x", "rows": 1, "data": {"bytes": 1, "sha256": "0" * 64}}]},
        {"segments": [{"number": -1, "rows": 1, "data": {"bytes": 1, "sha256": "0" * 64}}]},
        {"segments": [{"number": 1, "rows": 0, "data": {"bytes": 1, "sha256": "0" * 64}}]},
        {"segments": 3},
        {"columns": {"id": "text"}},
        {"columns": {"a": "money"}},
        {"dimension": "4"},
        {"dimension": 10**9},
        {"fingerprint": ""},
        {"calibration": {"threshold": 5}},
        {"more": 1},
    ],
)
def test_a_manifest_from_elsewhere_is_checked(index: EmbeddedIndex, change: dict[str, object]) -> None:
    path = index.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(SearchError, match=r"manifest.json: expected the manifest of a search index"):
        EmbeddedIndex(index.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_manifest_is_an_error(index: EmbeddedIndex, content: bytes) -> None:
    (index.folder / "manifest.json").write_bytes(content)

    with pytest.raises(SearchError, match="expected the manifest"):
        EmbeddedIndex(index.folder)


def test_rows_of_another_dimension_or_kind_are_rejected(index: EmbeddedIndex, tmp_path: Path) -> None:
    other = EmbeddedIndex.create(tmp_path / "other", dimension=5, fingerprint=FINGERPRINT)
    other.add([f"{number}" for number in range(30)], np.eye(30, 5) + 1, fingerprint=FINGERPRINT)
    shutil.copy(other.folder / "00000000.arrow", index.folder)
    stored = json.loads((other.folder / "manifest.json").read_text())["segments"]
    manifest = json.loads((index.folder / "manifest.json").read_text())
    (index.folder / "manifest.json").write_text(json.dumps({**manifest, "segments": stored}))

    with pytest.raises(SearchError, match="column embedding is not one of the index"):
        EmbeddedIndex(index.folder)
