"""Ctrl-C and SIGTERM at every stage: the state is saved, the message reports it, and the shell gets its exit code."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.training.checkpoints.checkpoint_io import read_checkpoint

IN_THE_STEP = """
import os
from triptych.training.modules import TaskModule
plain, signals = TaskModule.training_step, {signals}
def training_step(self, batch, batch_idx):
    while self.global_step == {step} and signals:
        os.kill(os.getpid(), signals.pop(0))
    return plain(self, batch, batch_idx)
TaskModule.training_step = training_step
"""
WHILE_READING = """
import os
from triptych.data import builder
plain = builder.list_images
def list_images(*arguments, **options):
    os.kill(os.getpid(), {number})
    return plain(*arguments, **options)
builder.list_images = list_images
"""
IN_THE_TEST = """
import os
from triptych.training import train
train.training_figures = lambda *arguments, **options: os.kill(os.getpid(), {number})
"""
SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@pytest.fixture
def run(command: Callable, quick_yaml: Path, tmp_path: Path) -> Callable:
    return lambda *arguments, **options: command(
        "train", "--config", quick_yaml, "--output", tmp_path, *arguments, **options
    )


def last_state(output: Path, version: int = 0) -> dict:
    return read_checkpoint(output / "lightning_checkpoints" / "digits" / f"version_{version}-last.ckpt")


@SIGNALS
def test_a_signal_finishes_the_step_and_saves(run, tmp_path, number, code):
    printed = run(before=IN_THE_STEP.format(step=2, signals=[int(number)])).ends(code)
    assert last_state(tmp_path)["global_step"] == 3
    last = tmp_path / "lightning_checkpoints/digits/version_0-last.ckpt"
    assert f"Stopped by {number.name} after step 3. The state is saved in {last}; continue with --resume." in printed
    assert "Traceback" not in printed


def test_steps_of_gathered_gradients_are_finished(run, tmp_path):
    gathered = ("--set", "training.accumulate_gradients=4", "--set", "dataset.batch_size=64")
    printed = run(*gathered, before=IN_THE_STEP.format(step=1, signals=[15])).ends(143)
    assert "after step 2" in printed
    batches = last_state(tmp_path)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    assert batches["processed"] == 8


def test_a_signal_in_the_last_step_of_an_epoch_lets_the_epoch_be_validated(run, tmp_path):
    run(before=IN_THE_STEP.format(step=5, signals=[2])).ends(130)
    assert last_state(tmp_path)["global_step"] == 6
    assert last_state(tmp_path)["callbacks"]["RunCheckpoints"]["best_name"].startswith("epoch=01")


def test_the_second_signal_ends_the_run_at_once(run, tmp_path):
    printed = run(before=IN_THE_STEP.format(step=2, signals=[2, 15])).ends(143)
    assert last_state(tmp_path)["global_step"] == 0
    assert "Stopped by SIGTERM. Files saved before are complete; resume with --resume." in printed
    assert "Traceback" not in printed


@SIGNALS
def test_a_signal_before_training_writes_nothing(run, tmp_path, number, code):
    printed = run(before=WHILE_READING.format(number=int(number))).ends(code)
    assert f"Stopped by {number.name}" in printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


@SIGNALS
def test_a_signal_in_the_final_test_defers_it_to_the_resumption(run, tmp_path, number, code):
    printed = run("--epochs", "1", before=IN_THE_TEST.format(number=int(number))).ends(code)
    assert f"Stopped by {number.name}" in printed
    assert "Traceback" not in printed
    metrics = tmp_path / "img_tasks" / "digits" / "experiment" / "version_0" / "metrics.json"
    assert not metrics.exists()
    run("--epochs", "1", "--resume").ends(0)
    assert json.loads(metrics.read_text())["epochs"] == 1


def test_an_older_run_names_the_state_to_resume_from(run, tmp_path):
    run("--epochs", "2", before=IN_THE_STEP.format(step=1, signals=[15])).ends(143)
    run("--epochs", "1").ends(0)
    last = tmp_path / "lightning_checkpoints/digits/version_0-last.ckpt"
    printed = run("--epochs", "2", "--resume", last, before=IN_THE_STEP.format(step=4, signals=[15])).ends(143)
    assert f"continue with --resume {last}." in printed
    assert last_state(tmp_path)["global_step"] == 5
