import json
import shlex
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.runs.folders import RunFolders
from triptych.training.building import build_module
from triptych.training.hardware.machine import Hardware
from triptych.training.reporting import announce, environment, shown_figures, summarise

TERMS = {"accuracy": 0.97222, "loss": 0.512345, "triplet": 0.05, "classification": 0.4, "reconstruction": 0.01}


def announced(config: RunConfig, digits: ImageData, hardware: Hardware, **more: Any) -> dict[str, str]:
    """Announce a run, and return the lines by their names."""
    text = StringIO()
    data = ImageDataModule(config, digits)
    folders = RunFolders(Path("/out"), "digits", 3)
    announce(
        Console(file=text, width=80),
        config,
        digits,
        data,
        build_module(config, data),
        **{"hardware": hardware, "folders": folders, "notes": (), **more},
    )
    pairs = (line.strip().split("  ", 1) for line in text.getvalue().splitlines())
    return dict(pairs)


def test_a_run_prints_its_plan(tiny_config: Callable[..., RunConfig], digits: ImageData) -> None:
    config = tiny_config("training.epochs=7", "training.seed=5")
    module = build_module(config, ImageDataModule(config, digits))
    parameters = sum(parameter.numel() for parameter in module.parameters())

    lines = announced(config, digits, Hardware("cpu", 1, 1, "32-true"))

    threads = torch.get_num_threads()
    assert lines == {
        "data": "digits, 10 classes (part of the installation)",
        "images": "8x8x1: 1,293 training, 144 validation, 360 test",
        "model": f"MultiTaskImageTransformer, {parameters:,} parameters",
        "device": f"CPU, {threads} thread{'s' if threads > 1 else ''}",
        "precision": "32-true",
        "compiled": "no",
        "training": "7 epochs, batch 64, muon, triplets semihard, seed 5",
        "writes to": "/out/img_tasks/digits/experiment/version_3",
    }


def test_it_prints_what_is_special_about_a_run(tiny_config: Callable[..., RunConfig], digits: ImageData) -> None:
    config = tiny_config("training.use_multitask_loss=false", "training.epochs=1")

    hardware = Hardware("cpu", 2, 3, "bf16-mixed", "so it began", compiled=True, compile_reason="so long")
    lines = announced(config, digits, hardware, resumed_from="/out/version_3-last.ckpt")

    assert lines["model"].startswith("ImageTransformer, ")
    assert lines["device"].endswith(", 6 processes")
    assert lines["precision"] == "bf16-mixed (auto: so it began)"
    assert lines["compiled"] == "yes (auto: so long)"
    assert lines["training"].startswith("1 epoch, batch 6 x 64, ")
    assert lines["resumes"] == "/out/version_3-last.ckpt"


@pytest.mark.parametrize("root", [Path("/a [bold]strange[/bold] place"), Path("/" + "long/" * 40)])
def test_paths_are_printed_as_they_are_in_one_line(root: Path) -> None:
    text = StringIO()
    folders = RunFolders(root, "digits", 0)
    best = folders.checkpoints / "epoch=01-val_accuracy=0.97.ckpt"
    picture = folders.version_folder / "embeddings_tsne.png"

    summarise(
        Console(file=text, width=80),
        {"test": TERMS, "val": TERMS, "best_checkpoint": str(best)},
        folders,
        [picture],
        has_curves=True,
    )

    printed = text.getvalue()
    for path in (best, folders.version_folder / "metrics.json", root / "embeddings_tsne.png"):
        assert f"  {path}\n" in printed
    *_, command = printed.splitlines()
    assert shlex.split(command)[-1] == str(root / "img_tasks")


def test_no_terminal_obeys_the_names_of_images() -> None:
    text = StringIO()
    folders = RunFolders(Path("/out"), "a\x1b[2J[/x]", 0)

    summarise(
        Console(file=text, width=80),
        {"test": TERMS, "val": TERMS, "best_checkpoint": str(folders.last)},
        folders,
        [],
        has_curves=True,
    )

    assert "\x1b" not in text.getvalue()
    assert "a\\x1b[2J[/x], the best epoch" in text.getvalue()
    assert "/out/lightning_checkpoints/a\\x1b[2J[/x]/version_0-last.ckpt" in text.getvalue()


def test_the_table_gives_each_metric_of_both_splits_in_eighty_columns() -> None:
    text = StringIO()
    validation = {name: value + 0.001 for name, value in TERMS.items()}
    folders = RunFolders(Path("/out"), "digits", 0)

    summarise(
        Console(file=text, width=80),
        {"test": TERMS, "val": validation, "best_checkpoint": "x"},
        folders,
        [],
        has_curves=False,
    )

    rows = [line.split() for line in text.getvalue().splitlines()]
    assert ["test", "validation"] in rows
    for name, value in TERMS.items():
        shown = {"classification": "cross-entropy"}.get(name, name)
        assert [shown, f"{value:.4f}", f"{value + 0.001:.4f}"] in rows
    assert ["test", "accuracy", "0.9722"] in rows
    assert max(map(len, text.getvalue().splitlines())) <= 80
    assert "tensorboard" not in text.getvalue()


def test_the_environment_is_what_the_figures_depend_on() -> None:
    found = environment(Hardware("cpu", 2, 1, "bf16-mixed", "so it began", compiled=True))

    assert found["torch"] == torch.__version__
    assert found["processes"] == 2
    assert [found["precision"], found["precision_reason"]] == ["bf16-mixed", "so it began"]
    assert [found["compiled"], found["compile_reason"]] == [True, ""]
    assert found["device"].startswith("CPU")
    json.dumps(found)


def test_the_guards_findings_are_printed_again_at_the_end() -> None:
    def last_lines(*found: dict[str, Any]) -> str:
        text = StringIO()
        metrics = {"test": TERMS, "val": TERMS, "best_checkpoint": "x", "diagnoses": list(found)}
        folders = RunFolders(Path("/out"), "digits", 0)
        summarise(Console(file=text, width=80), metrics, folders, [], has_curves=False)
        return text.getvalue()

    point = {"epoch": 2, "last_epoch": 5, "name": "point_collapse"}
    unheard = {"epoch": 3, "last_epoch": 3, "name": "unheard_loss"}
    assert "diagnosis  point collapse in epochs 2 to 5; unheard loss in epoch 3\n" in last_lines(point, unheard)
    assert "diagnosis" not in last_lines()


def test_squared_errors_are_shown_in_place_of_a_loss_without_a_unit() -> None:
    figures = {"accuracy": 0.9, "loss": 1.0, "triplet": 0.1, "classification": 0.4, "reconstruction": -0.9, "kl": 9.0}

    assert list(shown_figures(figures)) == ["accuracy", "loss", "triplet", "cross-entropy", "reconstruction", "KL"]
    assert shown_figures({**figures, "mse": 0.01}) == {
        **{"accuracy": 0.9, "loss": 1.0, "triplet": 0.1, "cross-entropy": 0.4, "MSE": 0.01, "KL": 9.0}
    }
