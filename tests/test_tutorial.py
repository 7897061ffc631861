"""The tutorial, from its first line to its last, in an empty folder."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tutorial is followed."""
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def shown(command: Callable, folder: Path) -> Callable[..., str]:
    """Run the command, or Python, as a user would there, expect it to succeed, and return what it prints."""

    def run(*arguments: str, python: str = "") -> str:
        instead = f"exec({python!r}, {{}})\nraise SystemExit(0)" if python else ""
        here = f"import os; os.chdir({str(folder)!r})\n{instead}"
        printed: str = command(*arguments, before=here, environment={"XDG_CACHE_HOME": str(folder / "cache")}).ends(0)
        return printed

    return run


@pytest.fixture(scope="module")
def walked(shown: Callable[..., str]) -> dict[str, str]:
    """What each step of the tutorial printed, by its verb, or by the last line of its Python."""
    printed = {}
    for language, text in STEPS:
        if language == "python":
            printed[text.splitlines()[-1].strip()] = shown(python=text)
            continue
        for line in text.splitlines():
            program, verb, *arguments = shlex.split(line)
            assert program == "triptych"
            printed[verb] = shown(verb, *arguments)
    return printed


def test_every_step_writes_what_the_next_one_needs(walked: dict[str, str], folder: Path) -> None:
    assert walked.keys() >= {"init", "doctor", "train", "evaluate", "audit"}
    (version,) = (folder / "img_tasks" / "photos" / "experiment").iterdir()
    left = {file.name for file in version.iterdir()}
    assert {"report.html", "map.html", "metrics.json", "audit.html", "label_issues.csv"} <= left
    assert "no blocking problems found" in walked["doctor"]
    assert "1 data set of" in walked["cache"]


def test_what_init_prints_is_what_the_tutorial_shows(walked: dict[str, str]) -> None:
    (printed,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)

    def without_times(text: str) -> str:
        return re.sub(r"about .*? of training", "about T of training", text)

    assert without_times(walked["init"]) == without_times(printed)


def test_the_search_finds_the_query_first_and_then_others_of_its_kind(walked: dict[str, str]) -> None:
    lines = walked['print(f"{distance:.3f}  {path}")'].splitlines()

    assert len(lines) == 5
    assert lines[0] == "0.000  photos/flower/160-280.jpg"
    distances = [float(line.split()[0]) for line in lines]
    assert distances == sorted(distances)
    assert sum("flower" in line for line in lines) >= 3


@pytest.mark.usefixtures("walked")
def test_names_of_image_files_go_through_to_the_tables(folder: Path) -> None:
    (table,) = folder.glob("img_tasks/photos/experiment/*/near_duplicates.csv")

    assert ".jpg" in table.read_text()


@pytest.mark.usefixtures("walked")
def test_images_that_have_moved_are_found_by_root(shown: Callable[..., str], folder: Path) -> None:
    (folder / "photos").rename(folder / "moved")

    printed = shown("audit", "lightning_checkpoints/photos/best.ckpt", "--root", "moved", "--out", "again")

    assert "500, by neighbours" in printed
    assert (folder / "again" / "audit.html").is_file()
