"""The verbs `index` and `search` in real processes, as a user runs them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from triptych.search.adding import image_id


@pytest.fixture(scope="module")
def place(coloured_photos: Path, command: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, a model and an index that the command has made."""
    folder = tmp_path_factory.mktemp("search")
    shutil.copytree(coloured_photos / "photos", folder / "photos")
    shutil.copy(coloured_photos / "best.ckpt", folder)
    (folder / "photos" / "cat" / "broken.png").write_bytes(b"no image")
    printed = command("index", folder / "best.ckpt", folder / "photos", "--out", folder / "photos.index").ends(0)
    assert "Indexed 24 images" in printed
    assert "1 file could not be read" in printed
    assert f"left out: {folder / 'photos' / 'cat' / 'broken.png'}" in printed
    return folder


def test_a_query_finds_its_own_file_first_and_a_picture_is_written(place: Path, command: Callable) -> None:
    query = place / "photos" / "dog" / "4.png"

    printed = command("search", place / "photos.index", query, "-k", 3, "--show", place / "grid.png").ends(0)

    lines = printed.splitlines()
    assert lines[0].split() == ["1", "1.0000", "dog", image_id(query)]
    assert len(lines) == 4
    assert Image.open(place / "grid.png").format == "PNG"


def test_json_is_for_programs(place: Path, command: Callable) -> None:
    query = place / "photos" / "dog" / "4.png"

    printed = command(
        "search", place / "photos.index", query, "--where", "label = 'cat' and probability > .1", "--json"
    ).ends(0)

    found = json.loads(printed)
    assert found["query"] == str(query)
    assert len(found["results"]) == 10
    assert {one["metadata"]["label"] for one in found["results"]} == {"cat"}
    assert all(one["matches"] is None and -1 <= one["score"] <= 1 for one in found["results"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "missing.index", "photos/cat/1.png"), "expected a search index"),
        (("search", "photos.index", "photos/cat/1.png", "--where", "labl = 'cat'"), "did you mean 'label'?"),
        (("search", "photos.index", "photos/cat/broken.png"), "broken.png"),
        (("search", "photos.index", "photos/cat/1.png", "-k", "0"), "0 is not in the range"),
        (("search", "postgresql://user:secret@127.0.0.1:1/x", "photos/cat/1.png"), "PostgreSQL reports"),
        (("index", "best.ckpt", "photos", "--out", "photos.index"), "expected a new or empty folder"),
        (("index", "best.ckpt", "nothing", "--out", "new.index"), "there is nothing"),
        (("index", "best.ckpt", "photos"), "Missing option '--out'"),
        (("index", "info", "photos"), "expected a search index"),
    ],
)
def test_errors_are_one_message_and_exit_code_2(
    place: Path, command: Callable, arguments: tuple[str, ...], message: str
) -> None:
    printed = command(*arguments, before=f"import os; os.chdir({str(place)!r})").ends(2)

    assert message in printed
    assert "Traceback" not in printed
    assert "secret" not in printed
    assert not (place / "new.index").exists()


def test_an_index_is_changed_described_and_calibrated(place: Path, command: Callable, tmp_path: Path) -> None:
    there = shutil.copytree(place / "photos.index", tmp_path / "photos.index")
    extra = tmp_path / "extra.png"
    Image.new("RGB", (20, 30), "green").save(extra)

    assert "which has 25 now" in command("index", "add", there, extra).ends(0)
    removed = command("index", "delete", there, extra, place / "photos" / "cat" / "1.png", "nothing").ends(0)
    assert "Removed 2 images of 3; 23 are left" in removed
    assert "23 images" in command("index", "compact", there).ends(0)
    printed = command("index", "info", there, "--verify").ends(0)
    assert "23 of 6 dimensions" in printed
    assert "label (text)" in printed
    described = json.loads(command("index", "info", there, "--json").ends(0))
    assert described["rows"] == 23
    assert described["deleted"] == 0
    assert described["calibration"] is None
    assert described["columns"]["probability"] == "number"
    printed = command("index", "calibrate", there, "--false-match-rate", "0.0001").ends(2)
    assert "pairs of validation images" in printed


def test_the_help_names_the_verbs(command: Callable) -> None:
    printed = command("index", "--help").ends(0)

    assert all(verb in printed for verb in ("add", "delete", "info", "compact", "calibrate"))
