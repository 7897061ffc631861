"""The commands and the programs of docs/use.md and docs/embedding.md, run as they stand there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
USE = (ROOT / "docs" / "use.md").read_text()
EMBEDDING = (ROOT / "docs" / "embedding.md").read_text()
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
    return [block for kind, block in found if kind == language]


def commands(block: str) -> list[list[str]]:
    lines = [line.partition("  #")[0].strip() for line in block.splitlines()]
    found = [[word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)] for line in lines if line]
    assert all(words[0] == "triptych" for words in found)
    return [words[1:] for words in found]


@pytest.fixture(scope="module")
def place(coloured_photos: Path, command: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the five commands have run."""
    folder = tmp_path_factory.mktemp("use")
    shutil.copytree(coloured_photos / "photos", folder / "photos")
    shutil.copy(coloured_photos / "best.ckpt", folder)
    shutil.copy(folder / "photos" / "cat" / "1.png", folder / "query.jpg")
    five = commands(blocks(USE, "")[0])
    assert [words[0] for words in five] == ["export", "embed", "index", "search", "serve"]
    for words in five[:4]:
        command(*words, before=f"import os; os.chdir({str(folder)!r})").ends(0)
    return folder


def test_five_commands_lead_from_a_checkpoint_to_a_picture_of_what_was_found(place: Path) -> None:
    assert {"encoder.onnx", "README.md"} <= {path.name for path in (place / "bundle").iterdir()}
    assert (place / "embedded" / "_SUCCESS").exists()
    with Image.open(place / "grid.png") as picture:
        picture.load()


def test_the_fifth_command_is_one_that_there_is(command: Callable) -> None:
    words = commands(blocks(USE, "")[0])[4]
    printed = command("serve", "--help").ends(0)
    for option in (word for word in words if word.startswith("--")):
        assert option in printed


@pytest.mark.parametrize("program", blocks(USE, "python"))
def test_the_programs_on_use_run(place: Path, program: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(place)
    exec(compile(program, "docs/use.md", "exec"), {})
    assert float(capsys.readouterr().out.partition(": ")[2]) < 1e-4


def test_the_commands_and_programs_on_embedding_run(
    place: Path, command: Callable, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for words in commands(blocks(EMBEDDING, "")[0])[1:]:
        command(*words, before=f"import os; os.chdir({str(place)!r})").ends(0)
    assert (place / "embedded.parquet").is_file()
    assert (place / "digits.parquet").is_file()
    monkeypatch.chdir(place)
    reading, workers = blocks(EMBEDDING, "python")
    exec(compile(reading, "docs/embedding.md", "exec"), {})
    assert "embedding" in capsys.readouterr().out
    given = workers.replace('"/shared/bundle", "/shared/photos", "/shared/embedded"', '"bundle", "photos", "divided"')
    assert given != workers
    names: dict = {}
    exec(compile(given, "docs/embedding.md", "exec"), names)
    assert [names["embed_shards"](number, 2) for number in range(2)] == [24, 24]
    assert (place / "divided" / "_SUCCESS").exists()


def test_the_readme_has_the_same_five_commands() -> None:
    found = [line.partition("  #")[0].strip() for block in blocks(README, "bash") for line in block.splitlines()]
    verbs = ("export", "embed", "index", "search", "serve")
    assert [line.split()[1] for line in found if line.split()[:1] == ["triptych"] and line.split()[1] in verbs] == [
        *verbs
    ]
