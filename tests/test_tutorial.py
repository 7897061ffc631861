"""The tutorial, from its first line to its last, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)


def shown(command: list[str], folder: Path) -> str:
    """Run a command as a user would, expect it to succeed, and return what it prints."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Where the tutorial was followed, and what each of its steps printed, by the first line of the step."""
    folder, printed = tmp_path_factory.mktemp("tutorial"), {}
    for language, text in STEPS:
        if language == "python":
            printed[text.splitlines()[-1].strip()] = shown([sys.executable, "-c", text], folder)
            continue
        for line in text.splitlines():
            command = line.replace("--epochs 20", "--epochs 10")  # the tests have little time
            program, *arguments = shlex.split(command)
            assert program == "triptych"
            printed[" ".join(line.split()[:2])] = shown([sys.executable, "-m", "triptych", *arguments], folder)
    return folder, printed


def test_every_step_leaves_what_the_next_one_needs(walked: tuple[Path, dict[str, str]]) -> None:
    folder, printed = walked

    assert printed.keys() >= {
        "triptych init",
        "triptych doctor",
        "triptych train",
        "triptych evaluate",
        "triptych audit",
    }
    (version,) = (folder / "img_tasks" / "photos" / "experiment").iterdir()
    assert {"report.html", "metrics.json", "audit.html", "label_issues.csv"} <= {
        file.name for file in version.iterdir()
    }
    assert "nothing speaks against training" in printed["triptych doctor"]
    assert "1 data set of" in printed["triptych cache"]


def test_what_init_prints_is_what_the_tutorial_shows(walked: tuple[Path, dict[str, str]]) -> None:
    (told,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)

    assert walked[1]["triptych init"] == told


def test_the_search_finds_the_query_first_and_then_others_of_its_kind(walked: tuple[Path, dict[str, str]]) -> None:
    lines = walked[1]['print(f"{distance:.3f}  {files[row]}")'].splitlines()

    assert len(lines) == 5
    assert lines[0] == "0.000  photos/flower/160-280.jpg"
    distances = [float(line.split()[0]) for line in lines]
    assert distances == sorted(distances)
    assert sum("flower" in line for line in lines) >= 3


def test_names_of_image_files_go_through_to_the_tables(walked: tuple[Path, dict[str, str]]) -> None:
    (table,) = walked[0].glob("img_tasks/photos/experiment/*/near_duplicates.csv")

    assert ".jpg" in table.read_text()


def test_images_that_have_moved_are_found_where_the_user_says(walked: tuple[Path, dict[str, str]]) -> None:
    folder, _ = walked
    (folder / "photos").rename(folder / "moved")

    command = [sys.executable, "-m", "triptych", "audit", "lightning_checkpoints/photos/best.ckpt"]
    printed = shown([*command, "--root", "moved", "--out", "again"], folder)

    assert "500, by neighbours" in printed
    assert (folder / "again" / "audit.html").is_file()
