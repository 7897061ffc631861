"""`triptych explore` in a real process: the static page, the server until Ctrl-C, and errors in one message."""

import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def test_a_static_page_is_written(
    command: Callable, coloured_photos: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    arguments = ("explore", coloured_photos / "best.ckpt", coloured_photos / "photos", "--static", tmp_path / "a.html")

    printed = command(*arguments, environment=environment).ends(0)

    size = (tmp_path / "a.html").stat().st_size
    assert f"24 images, {size / 1e6:.1f} MB" in printed
    assert "exists already, and is not overwritten" in command(*arguments, environment=environment).ends(2)
    command(*arguments, "--force", environment=environment).ends(0)


def test_the_server_runs_until_it_is_interrupted(
    command: Callable, coloured_photos: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    here = f"import os; os.chdir({str(tmp_path)!r})"
    arguments = ("explore", coloured_photos / "best.ckpt", "--split", "all", "--no-open")
    served = command(*arguments, before=here, environment=environment)
    deadline = time.monotonic() + 300
    while served.runs() and time.monotonic() < deadline:
        if served.log.is_file() and "Ctrl-C" in served.log.read_text():
            break
        time.sleep(0.1)
    printed = served.log.read_text()
    assert "24 images at http://127.0.0.1:" in printed
    assert "Corrections are saved in corrections.csv" in printed
    url = printed.split(" at ")[1].split()[0]

    with urllib.request.urlopen(url, timeout=60) as page:
        assert page.status == 200
    served.send(signal.SIGINT)

    printed = served.ends(130)
    assert "Traceback" not in printed
    assert os.listdir(tmp_path) == []  # noqa: PTH208 # nothing is written before the first correction


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.ckpt",), "there is no such file"),
        (("configs/digits.yaml",), "is a config"),
        (("x.ckpt", "nowhere"), "nowhere"),
        (("x.ckpt", "tests", "--split", "val"), "the split is one of the run"),
        (("x.ckpt", "--port", "70000"), "--port"),
        (("README.md", "README.md"), "expected a"),
    ],
)
def test_errors_are_one_message(command: Callable, arguments: tuple[str, ...], message: str) -> None:
    printed = command("explore", *arguments).ends(2)

    assert message in printed
    assert "Traceback" not in printed
