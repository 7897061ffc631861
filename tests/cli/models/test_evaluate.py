"""The whole verb in real processes: a trained run, evaluated as a user does it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from triptych.runs.definitions import DEFINITIONS
from triptych.runs.per_image import read_per_image

RUN = "img_tasks/digits/experiment/version_0"
BEST = "lightning_checkpoints/digits/best.ckpt"


@pytest.fixture(scope="module")
def trained(command: Callable, quick_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output root of a run that held two classes out."""
    root = tmp_path_factory.mktemp("trained")
    held_out = ("--set", "evaluation.holdout_classes=[7, 9]")
    printed = command("train", "--config", quick_yaml, "--output", root, *held_out).ends(0)
    assert "held out: 7, 9" in printed
    assert "held-out classes" in printed
    return root


@pytest.fixture(scope="module")
def before(trained: Path) -> dict:
    """The metrics.json that training left."""
    return json.loads((trained / RUN / "metrics.json").read_text())


@pytest.fixture(scope="module")
def evaluated(command: Callable, trained: Path, before: dict) -> tuple[Path, str]:
    """The same root after an evaluation, and what was printed."""
    return trained, command("evaluate", trained / BEST).ends(0)


def test_the_figures_stand_beside_those_of_training(evaluated: tuple[Path, str], before: dict) -> None:
    after = json.loads((evaluated[0] / RUN / "metrics.json").read_text())

    for name, value in before["test"].items():
        assert after["test"][name] == pytest.approx(value, rel=1e-4)
    for name in ("val", "best_checkpoint", "epochs", "environment"):
        assert after[name] == before[name]
    assert before["holdout"].items() <= after["holdout"].items()
    assert after["holdout"].keys() >= {"full_gallery", "chance", "pixels"}
    new = {"macro_f1", "ece", "map_at_r", "knn_accuracy", "ami", "silhouette", "ssim", "elbo", "active_units"}
    assert after["test"].keys() >= new | {"trustworthiness", "confusion", "per_class_accuracy", "baselines"}
    assert len(after["test"]["confusion"]) == 8


def test_the_images_own_results_average_to_the_figures(evaluated: tuple[Path, str]) -> None:
    table = read_per_image(evaluated[0] / RUN / "per_image_test.parquet")
    figures = json.loads((evaluated[0] / RUN / "metrics.json").read_text())["test"]

    assert figures["accuracy"] == table.columns["correct"].mean()
    for name in ("map_at_r", "mrr", "ssim", "psnr", "kl_divergence"):
        assert figures[name] == pytest.approx(np.nanmean(table.columns[name].astype(float)))
    assert table.description["holdout"] == ["7", "9"]
    assert table.description["checkpoint"] == Path(BEST).with_name((evaluated[0] / BEST).resolve().name).name


def test_the_table_has_every_figure_and_all_paths(evaluated: tuple[Path, str]) -> None:
    root, printed = evaluated

    for name in ("accuracy", "map_at_r", "nmi", "ssim"):
        assert DEFINITIONS[name].title in printed
    assert "1-NN on raw pixels" in printed
    assert "held-out" in printed
    assert str(root / RUN / "report.html") in printed.replace("\n", "")
    assert (root / RUN / "report.html").stat().st_size > 50_000
    assert str(root / RUN / "map.html") in printed.replace("\n", "")
    assert (root / RUN / "map.html").stat().st_size > 100_000


def test_the_same_checkpoint_gives_the_same_figures_every_time(
    command: Callable, evaluated: tuple[Path, str], tmp_path: Path
) -> None:
    printed = command("evaluate", evaluated[0] / BEST, "--out", tmp_path / "again", "--json").ends(0)

    again = json.loads(printed)
    first = json.loads((evaluated[0] / RUN / "metrics.json").read_text())
    assert again["test"] == {name: first["test"][name] for name in again["test"]}
    assert again["test"]["intervals"].keys() >= {"accuracy", "map_at_r", "mse"}
    assert again["holdout"] == first["holdout"]
    assert {path.name for path in (tmp_path / "again").iterdir()} >= {
        "metrics.json",
        "report.html",
        "per_image_test.parquet",
    }


@pytest.mark.parametrize("name", [RUN, "digits/0"])
def test_a_run_folder_and_a_runs_name_mean_its_best_checkpoint(
    command: Callable, evaluated: tuple[Path, str], tmp_path: Path, name: str
) -> None:
    root, _ = evaluated
    place = (root / name,) if name == RUN else (name, "--output", root)

    again = json.loads(command("evaluate", *place, "--out", tmp_path, "--json").ends(0))

    first = json.loads((root / RUN / "metrics.json").read_text())
    assert again["test"]["accuracy"] == first["test"]["accuracy"]


def test_another_checkpoint_of_the_run_keeps_the_best_ones_figures(
    command: Callable, evaluated: tuple[Path, str]
) -> None:
    root, _ = evaluated
    kept = (root / RUN / "metrics.json").read_bytes()

    command("evaluate", root / "lightning_checkpoints/digits/version_0-last.ckpt", "--split", "val").ends(0)

    assert (root / RUN / "metrics.json").read_bytes() == kept
    written = json.loads((root / RUN / "evaluation-version_0-last/metrics.json").read_text())
    assert written["val"].keys() >= {"accuracy", "map_at_r"}


def test_a_checkpoint_that_has_left_its_run_is_evaluated_beside_itself(
    command: Callable, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained / BEST, tmp_path / "mine.ckpt")

    command("evaluate", tmp_path / "mine.ckpt").ends(0)

    assert (tmp_path / "mine-evaluation/report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.ckpt",), "there is no such file"),
        (("configs",), "configs: expected a checkpoint, the version folder of a run"),
        (("README.md",), "README.md was rejected"),
        (("x.ckpt", "--split", "tset"), "'tset' is not one of 'test', 'val', 'train'"),
        ((), "Missing argument 'MODEL'"),
        (("configs/digits.yaml",), "configs/digits.yaml is a config: expected a checkpoint"),
        (("digits/9",), "digits/9: expected a run"),
    ],
)
def test_errors_are_one_message(command: Callable, arguments: tuple[str, ...], message: str) -> None:
    printed = command("evaluate", *arguments).ends(2)

    assert message in printed
    assert "Traceback" not in printed
