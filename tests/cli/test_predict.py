"""`triptych predict` and `triptych relabel`: what a user may type wrong, and that no file is overwritten."""

from collections.abc import Callable
from pathlib import Path

import pytest


def test_an_existing_file_is_not_overwritten(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "label_issues.csv").write_text("split,index,file,suggested,likely\ntest,1,a.jpg,cat,yes\n")

    for verb in (("predict", "x.ckpt", tmp_path), ("relabel", tmp_path)):
        assert "exists already" in command(*verb, "--out", tmp_path / "mine.csv").ends(2)

    assert (tmp_path / "mine.csv").read_text() == "mine"
    printed = command("relabel", tmp_path, "--out", tmp_path / "mine.csv", "--force").ends(0)
    assert "1 labels corrected and 0 images dropped" in printed
    assert (tmp_path / "mine.csv").read_text() == "path,label\na.jpg,cat\n"


def test_own_corrections_take_precedence(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "label_issues.csv").write_text(
        "split,index,file,suggested,likely\ntest,1,a.jpg,cat,yes\ntest,2,b.jpg,dog,yes\n"
    )
    (tmp_path / "own.csv").write_text("path,label\nb.jpg,\n")

    command("relabel", tmp_path, "--out", tmp_path / "out.csv", "--corrections", tmp_path / "own.csv").ends(0)

    assert (tmp_path / "out.csv").read_text() == "path,label\na.jpg,cat\nb.jpg,\n"


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
