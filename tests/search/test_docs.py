"""The commands and the program of docs/search.md, run as they stand there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture(scope="module")
def place(coloured_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    for name in ("photos", "new_photos"):
        shutil.copytree(coloured_photos / "photos", folder / name)
    shutil.copy(coloured_photos / "best.ckpt", folder)
    shutil.copy(folder / "photos" / "cat" / "1.png", folder / "query.jpg")
    return folder


def test_the_commands_and_the_program_of_the_guide_work(
    place: Path, command: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [line.partition("#")[0] for line in BLOCKS[0][1].splitlines()]
    (program,) = (text for language, text in BLOCKS if language == "python")
    for line in commands:
        words = re.findall(r'"[^"]*"|\S+', line)
        assert words[0] == "triptych"
        command(*[word.strip('"') for word in words[1:]], before=f"import os; os.chdir({str(place)!r})").ends(0)
    assert (place / "grid.png").exists()

    monkeypatch.chdir(place)
    exec(compile(program, "docs/search.md", "exec"), {})

    assert "'label': 'cat'" in capsys.readouterr().out
