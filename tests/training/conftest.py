"""A run small enough for tests: the real digits, a tiny model, the real command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import load_dataset
from triptych.data.images import ImageData

ROOT = Path(__file__).parents[2]

# Plain sums of plain terms, which the tests work out by hand.
PLAIN = {"epochs": 3, "reconstruction_loss": "mse", "reconstruction_weight": 1.0, "kl_weight": 1e-3}


@pytest.fixture(scope="session")
def tiny_run(quick_yaml: Path) -> dict[str, dict[str, Any]]:
    """The small run with three epochs of 21 steps each, and plain losses."""
    run = yaml.safe_load(quick_yaml.read_text())
    run["dataset"]["batch_size"] = 64
    run["training"] |= PLAIN
    return run


@pytest.fixture
def tiny_yaml(tmp_path: Path, tiny_run: dict[str, dict[str, Any]]) -> Path:
    """A config file of the tiny run."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_run))
    return path


@pytest.fixture(scope="session")
def tiny_config(tiny_run: dict[str, dict[str, Any]]) -> Callable[..., RunConfig]:
    """Give the config of the tiny run, with changes as `--set` takes them."""
    return lambda *changes: load_config(tiny_run, changes)


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """The real digits."""
    return load_dataset("digits")


@pytest.fixture
def start(tmp_path: Path, tiny_yaml: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command on the tiny run, in a process of its own, and return the process."""

    def start_command(*arguments: str, output: Path = tmp_path) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(tiny_yaml), "--output", str(output)]
        return subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )

    return start_command


@pytest.fixture
def finish(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run the command to its end, expect success, and return what it printed."""

    def run_command(*arguments: str, **options: Path) -> str:
        process = start(*arguments, **options)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed
        return printed

    return run_command


@pytest.fixture(autouse=True, scope="module")
def _whims_of_one_run_do_not_reach_the_next() -> Iterator[None]:
    """Take back what a deterministic run sets for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
