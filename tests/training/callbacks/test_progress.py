import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from triptych.config.schema import RunConfig
from triptych.training.callbacks.progress import RunProgress
from triptych.training.train import train

ROOT = Path(__file__).parents[3]
MULTITASK = {"accuracy": 0.97222, "loss": 12.3456, "triplet": 0.05, "classification": 1.25, "reconstruction": 0.01}


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def trainer(*, epoch: int = 0, epochs: int = 40, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(current_epoch=epoch, max_epochs=epochs, **more)


def module(figures: dict[str, float] | None = None) -> SimpleNamespace:
    return SimpleNamespace(validated=figures or {})


def test_epochs_are_rows_of_a_table_that_fits_eighty_columns() -> None:
    text = StringIO()
    progress = RunProgress(Console(file=text, width=80))

    progress.on_train_start(trainer(), module())
    for epoch in (0, 1, 39):
        progress.on_train_epoch_start(trainer(), module())
        progress.on_train_epoch_end(trainer(epoch=epoch), module({**MULTITASK, "kl": 48.6, "mse": 0.02}))

    _, title, heading, *rows = text.getvalue().splitlines()
    assert title == "validation"
    names = ["accuracy", "loss", "triplet", "cross-entropy", "MSE", "KL"]
    assert heading.split() == ["epoch", *names, "time", "left"]
    assert [row.split()[0] for row in rows] == ["1/40", "2/40", "40/40"]
    assert rows[0].split()[1:9] == ["0.9722", "12.346", "0.0500", "1.2500", "0.0200", "48.600", "0", "s"]
    # Every number ends where its name ends.
    for name in names:
        column = heading.index(name) + len(name)
        assert all(row[column - 1].isdigit() and row[column] == " " for row in rows)
    assert max(map(len, (heading, *rows))) <= 80


def test_the_time_left_is_that_of_the_epochs_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text, clock = StringIO(), iter([100.0, 400.0, 700.0])
    monkeypatch.setattr("triptych.training.callbacks.progress.time.monotonic", lambda: next(clock))
    progress = RunProgress(Console(file=text, width=80))

    progress.on_train_start(trainer(epoch=2, epochs=12), module())  # resumed after two epochs
    for epoch in (2, 3):
        progress.on_train_epoch_end(trainer(epoch=epoch, epochs=12), module(MULTITASK))

    lefts = [row.rsplit("  ", 1)[1].strip() for row in text.getvalue().splitlines()[-2:]]
    assert lefts == ["45 min", "40 min"]


def test_a_long_run_widens_the_first_column() -> None:
    text = StringIO()
    progress = RunProgress(Console(file=text, width=80))

    progress.on_train_epoch_end(trainer(epoch=99, epochs=1000), module(MULTITASK))

    heading, row = text.getvalue().splitlines()[-2:]
    assert heading.startswith("    epoch  accuracy")
    assert row.startswith(" 100/1000    0.9722")


def test_a_process_that_does_not_print_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = StringIO()
    progress = RunProgress(Console(file=text, force_terminal=True))

    progress.disable()
    progress.on_train_start(trainer(), module())
    progress.on_train_epoch_end(trainer(), module(MULTITASK))

    assert text.getvalue() == ""
    assert capsys.readouterr().out == ""


def test_on_a_terminal_a_bar_shows_losses_and_time_left_and_goes_away(
    tiny_config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    text = StringIO()
    config = tiny_config("training.epochs=2", "logging.tensorboard=false")

    train(config, output=tmp_path, console=Console(file=text, force_terminal=True, width=80))

    drawn = text.getvalue()
    shown = plain(drawn)
    assert re.search(r"epoch 1/2 .*━.* \d+% .*left", shown)
    numbers = [rf"{name} \d+\.\d{{3}}" for name in ("loss", "triplet", "cross-entropy", "reconstruction", "KL")]
    assert re.search("  ".join(numbers), shown)
    # The lines of the bar are cleared before the results.
    assert "━" not in plain(drawn[drawn.rindex("\x1b[2K") :])
    here = str(tmp_path)
    assert max(len(line) for line in shown.splitlines() if here not in line) <= 80


def test_a_failure_takes_the_bar_away_first() -> None:
    text = StringIO()
    progress = RunProgress(Console(file=text, force_terminal=True, width=80))
    running = trainer(num_training_batches=10, fit_loop=SimpleNamespace(total_batch_idx=-1))
    progress.on_train_start(running, module())

    progress.on_exception(running, module(), ValueError())

    assert text.getvalue().endswith("\x1b[2K")
    progress.on_train_batch_end(running, module(), None, None, 0)


def test_the_command_is_quiet_about_everything_else_on_a_terminal(tiny_yaml: Path, tmp_path: Path) -> None:
    command = [sys.executable, "run.py", "--config", str(tiny_yaml), "--output", str(tmp_path), "--epochs", "1"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side has closed
                break
            if not piece:
                break
            pieces.append(piece)
        assert process.wait(timeout=120) == 0
    os.close(ours)

    shown = plain(b"".join(pieces).decode())
    assert "arning" not in shown, shown
    assert "Lightning" not in shown
    lines = [line.strip("\r") for line in shown.splitlines()]
    assert lines[0].split() == ["data", "digits,", "10", "classes", "(part", "of", "the", "installation)"]
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
