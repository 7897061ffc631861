"""The commands and the program of docs/serving.md, run as they stand there, at a free port."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from triptych.serving import Limits

DOCS = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", DOCS, re.DOTALL)
URL = "http://127.0.0.1:8000"
(CURL,) = (text.splitlines() for language, text in BLOCKS if language == "bash")


@pytest.fixture(scope="module")
def place(coloured_photos, bundle, index, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(coloured_photos / "photos", folder / "photos")
    shutil.copytree(bundle, folder / "bundle")
    shutil.copytree(index, folder / "photos.index")
    shutil.copy(folder / "photos" / "cat" / "1.png", folder / "query.jpg")
    return folder


@pytest.fixture(scope="module")
def service(start_service, place):
    """The service, by the last command of the first block."""
    *_, words = map(str.split, BLOCKS[0][1].strip().splitlines())
    assert words[:2] == ["triptych", "serve"]
    return start_service(*(place / word if (place / word).exists() else word for word in words[2:]))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", CURL)
def test_the_commands_with_curl_are_answered(line, service, place):
    command = ["curl", "--silent", "--fail-with-body", *shlex.split(line.replace(URL, service.url))[1:]]
    finished = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads(finished.stdout)["results"]
    assert len(results) == line.count("@")
    assert all("error" not in one for one in results)


def test_the_client_in_python_finds_the_image(service, place, monkeypatch, capsys):
    (program,) = (text for language, text in BLOCKS if language == "python")
    assert len([line for line in program.splitlines() if line]) <= 10
    monkeypatch.chdir(place)

    exec(compile(program.replace(URL, service.url), "docs/serving.md", "exec"), {})

    assert "cat/1.png" in capsys.readouterr().out


def test_the_limits_are_the_defaults():
    limits = Limits()
    named = [limits.request_bytes / 1e6, limits.pixels / 1e6, limits.images, limits.queue, limits.held_bytes / 1e6]
    text = DOCS.partition("## Limits")[2].partition("## Access")[0]

    for number in (*named, limits.seconds):
        assert re.search(rf"\b{number:g} ", text), number
