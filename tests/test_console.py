"""Commands whose reader ends early, and consoles that lack characters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def started(arguments: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "triptych", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=environment.pop("cwd", str(ROOT)),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize("arguments", [["--help"], ["describe", "configs/digits.yaml"]])
def test_a_reader_that_ends_early_is_no_error(arguments: list[str]) -> None:
    process = started(arguments)
    assert process.stdout is not None
    process.stdout.close()

    _, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (0, b"")


PRINTS_ON = """
import os, sys
from rich.console import Console
from pathlib import Path
import click
from triptych.cli.main import run

@click.command()
def command():
    for number in range(3000):
        click.echo("line")
        Console().print("[bold]line[/bold]")
        print("line")
        os.write(2, b"") and sys.stderr.write("x")
    Path(sys.argv[1]).write_text("finished")

command.params.append(click.Argument(["path"]))
command.callback = (lambda inner: lambda path: inner())(command.callback)
run(command)
"""


def test_a_command_continues_to_its_end_without_a_reader(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS_ON, str(tmp_path / "end.txt")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()

    _, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "end.txt").read_text() == "finished"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_characters_that_a_console_lacks_are_escaped(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "\u732b.yaml").write_text("dataset: {name: \u732b}\n", encoding="utf-8")

    process = started(["describe", str(tmp_path / "\u732b.yaml")], PYTHONIOENCODING=encoding)
    _, errors = process.communicate(timeout=120)

    assert process.returncode == 2
    assert b"got '\\u732b'" in errors
    assert b"Traceback" not in errors


def test_a_full_disk_behind_the_output_is_reported() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "triptych", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=120,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.startswith(b"The disk is full")


def test_training_from_python_outlasts_its_reader_and_escapes_characters(tmp_path: Path) -> None:
    code = (
        "import sys, triptych\n"
        "config = {'dataset': {'name': 'digits'}, 'training': {'epochs': 1, 'devices': 1, 'accelerator': 'cpu'},"
        " 'model': {'patch_size': 4, 'embed_dim': 16, 'num_heads': 2, 'num_layers': 1, 'latent_dim': 4},"
        " 'logging': {'triplet_samples': False, 'embeddings': False, 'tensorboard': False}}\n"
        "print('start', flush=True); sys.stdin.readline()\n"
        "result = triptych.train(config, output=sys.argv[1])\n"
        "assert sys.stdout.errors == 'strict'\n"
        "sys.stderr.write(f'{result.best_checkpoint.is_file()}')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "\u732b")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252:strict"},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"continue\n")
    process.stdin.close()

    assert process.wait(timeout=200) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b"True"
