"""`kill -9` at any moment of a real job, and the same command again: every row is there, once."""

import signal
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

SIZE = 8
IMAGES = 60


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("no image")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.parquet")) if path.is_file()}


SLOW = """
import time, triptych.artefacts.embedding.parts as parts
encode = parts._rows
parts._rows = lambda *arguments: (time.sleep(.1), encode(*arguments))[1]
"""
"""A job long enough to be killed in."""


def wait_until(condition, process) -> None:
    end = monotonic() + 60
    while not condition() and monotonic() < end and process.runs():
        sleep(0.005)
    assert condition()


@pytest.mark.parametrize("out", ["folder", "one.parquet"])
def test_a_job_that_is_killed_again_and_again_ends_with_the_same_rows(command, digits_model, many, tmp_path, out):
    given = ("embed", digits_model.path, many, "--shard-size", 5, "--map", "--out")
    command(*given, tmp_path / "whole" / out).ends(0)
    target = tmp_path / "killed" / out
    parts = target if out == "folder" else target.with_name(f"{out}.job")

    for there in (0, 2, 5, 9):  # parts that are there when it is killed
        process = command(*given, target, before=SLOW)
        wait_until(lambda: len(list(parts.glob("part-*"))) >= there and (parts / "_job").exists(), process)  # noqa: B023
        process.send(signal.SIGKILL)
        process.ends(-signal.SIGKILL)
        assert not (target / "_SUCCESS").exists()
    printed = command(*given, target).ends(0)

    assert f"{IMAGES} images in 13 of 13 shards" in printed
    assert "1 could not be read" in printed
    found, expected = contents(tmp_path / "killed"), contents(tmp_path / "whole")
    assert found == expected
