"""`triptych cache`, as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.pixels.cache import decode_once
from triptych.data.pixels.entries import Form, cache_entries

SIDE = 64


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a user with two data sets, the second of which was last used ten days ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "triptych" / "images"
    file = tmp_path / "one.png"
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(file)
    form = Form((3, SIDE, SIDE), "letterbox")
    decode_once([file] * 100, form, origin="read from photos", cache=cache)
    decode_once([file, tmp_path / "missing.png"], form, origin="read from others", cache=cache)
    (old,) = [entry for entry in cache_entries(cache) if entry.images == 2]
    long_ago = old.used - 10 * 24 * 60 * 60
    os.utime(old.folder / "entry.json", (long_ago, long_ago))
    return cache


def run(*arguments: str, answer: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "triptych", "cache", *arguments]
    return subprocess.run(command, input=answer, capture_output=True, text=True, timeout=120, check=False)


def left(folder: Path) -> list[str]:
    return [entry.origin for entry in cache_entries(folder)]


def test_it_lists_data_sets_with_their_sizes_the_last_used_first(folder: Path) -> None:
    shown = run()

    assert shown.returncode == 0, shown.stderr
    first, second, total = shown.stdout.splitlines()
    assert first == "100 images of 64x64x3 (letterbox), 1.2 MiB, used today, read from photos"
    assert second == "2 images of 64x64x3 (letterbox, 1 corrupt), 0.0 MiB, used 10 days ago, read from others"
    assert total == f"2 data sets of 1.2 MiB in {folder}"


def test_an_empty_cache_is_reported_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))

    for arguments in ((), ("clear",)):
        shown = run(*arguments)
        assert shown.returncode == 0, shown.stderr
        assert "0 data sets of 0.0 MiB" in shown.stdout
    assert not (tmp_path / "nothing").exists()


def test_nothing_is_removed_without_a_yes(folder: Path) -> None:
    rejected = run("clear", answer="n\n")

    assert rejected.returncode == 0
    assert "Nothing was removed" in rejected.stdout
    unanswered = run("clear")
    assert unanswered.returncode == 2
    assert "--yes" in unanswered.stderr
    assert len(left(folder)) == 2


def test_it_removes_everything(folder: Path) -> None:
    assert run("clear", answer="y\n").returncode == 0

    assert left(folder) == []


def test_it_removes_what_was_not_used_for_long_and_what_killed_processes_left(folder: Path) -> None:
    (folder / ".0123.part").mkdir()
    (folder / ".0123.part" / "pixels").write_bytes(b"half")

    cleared = run("clear", "--older-than", "5", "--yes")

    assert cleared.returncode == 0, cleared.stderr
    assert "Removed 1 data set" in cleared.stdout
    assert left(folder) == ["read from photos"]
    assert not list(folder.glob(".*.part"))


def test_a_negative_age_is_an_error(folder: Path) -> None:
    wrong = run("clear", "--older-than", "-1")

    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    assert len(left(folder)) == 2


def test_features_of_frozen_encoders_are_shown_and_cleared_too(folder: Path) -> None:
    features = folder.parent / "features"
    features.mkdir()
    np.save(features / "one.npy", np.zeros(2**18, np.float32))
    (features / "one.lock").touch()

    assert f"features of frozen encoders of 1 split, 1.0 MiB in {features}" in run().stdout
    assert "features by" not in run("clear", "--older-than", "1", "--yes").stdout
    shown = run("clear", "--yes")

    assert "Removed features of frozen encoders of 1 split, 1.0 MiB" in shown.stdout
    assert not list(features.glob("*.npy"))


def test_maps_and_networks_of_the_explorer_are_shown_and_cleared_too(folder: Path) -> None:
    for name in ("maps", "networks/abc-1"):
        (folder.parent / name).mkdir(parents=True)
    np.save(folder.parent / "maps" / "one.npy", np.zeros(2**18, np.float32))
    for name in ("encoder.onnx", "decoder.onnx"):
        (folder.parent / "networks" / "abc-1" / name).write_bytes(bytes(2**20))

    shown = run().stdout
    assert f"maps by t-SNE of 1 page, 1.0 MiB in {folder.parent / 'maps'}" in shown
    assert f"exported networks of 1 model, 2.0 MiB in {folder.parent / 'networks'}" in shown
    assert "Removed maps" not in run("clear", "--older-than", "1", "--yes").stdout
    removed = run("clear", "--yes").stdout
    assert "Removed maps by t-SNE of 1 page, 1.0 MiB" in removed
    assert "Removed exported networks of 1 model, 2.0 MiB" in removed
    assert not list((folder.parent / "maps").glob("*.npy"))
    assert not list((folder.parent / "networks").iterdir())
