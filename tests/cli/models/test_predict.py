"""`triptych predict`: invalid arguments, and that no file is overwritten."""

from collections.abc import Callable
from pathlib import Path

import pytest


def test_an_existing_file_is_not_overwritten(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    assert "exists already" in command("predict", "x.ckpt", tmp_path, "--out", tmp_path / "mine.csv").ends(2)
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.ckpt", "README.md"), "there is no such file"),
        (("configs/digits.yaml", "README.md"), "is a config"),
        (("x.ckpt", "nowhere"), "nowhere"),
        (("x.ckpt", "README.md", "--out", "found.txt"), "ends with .csv or .parquet"),
    ],
)
def test_errors_are_one_message(command: Callable, arguments: tuple[str, ...], message: str) -> None:
    printed = command("predict", *arguments).ends(2)

    assert message in printed
    assert "Traceback" not in printed
