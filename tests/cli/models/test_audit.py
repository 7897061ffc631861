from collections.abc import Callable
from pathlib import Path

import pytest

RUN = "img_tasks/digits/experiment/version_0"


@pytest.mark.parametrize("multitask", ["true", "false"])
def test_the_run_is_audited_into_its_version_folder(
    command: Callable, quick_yaml: Path, tmp_path: Path, multitask: str
) -> None:
    mode = ("--set", f"training.use_multitask_loss={multitask}", "--epochs", "1")
    command("train", "--config", quick_yaml, "--output", tmp_path, *mode).ends(0)

    printed = command("audit", tmp_path / "lightning_checkpoints/digits/best.ckpt", "--top", "5").ends(0)

    assert ("neighbours, classifier, reconstruction" in printed) == (multitask == "true")
    for name in ("audit.html", "label_issues.csv", "near_duplicates.csv", "outliers.csv"):
        assert (tmp_path / RUN / name).is_file()
        assert name in printed
    assert len((tmp_path / RUN / "label_issues.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.ckpt",), "there is no such file"),
        (("x.ckpt", "--top", "0"), "--top"),
        ((), "Missing argument 'MODEL'"),
    ],
)
def test_errors_are_one_message(command: Callable, arguments: tuple[str, ...], message: str) -> None:
    printed = command("audit", *arguments).ends(2)

    assert message in printed
    assert "Traceback" not in printed
