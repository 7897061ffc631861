"""The one place where exceptions become messages and exit codes, and where bugs stay bugs."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from triptych.cli.main import UNUSABLE_PATH, VERBS, run
from triptych.errors import ConfigError, DataError, DownloadError, ImageWarning, Interruption, TrainingError
from triptych.files import DISK_FULL
from triptych.training.checkpoints.checkpoint_io import read_checkpoint
from triptych.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture
def outcome(monkeypatch, capfd) -> Callable[[BaseException | None], tuple[int | None, str]]:
    """Run a command that raises something; return its exit code and what it printed on the error stream."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = threading.excepthook
    monkeypatch.setattr(sys, "argv", ["triptych"])

    def run_raising(error: BaseException | None) -> tuple[int | None, str]:
        @click.command()
        def command() -> None:
            if isinstance(error, Warning):
                warnings.warn(error, stacklevel=1)
            elif error:
                raise error

        with pytest.raises(SystemExit) as stop:
            run(command)
        return stop.value.code, capfd.readouterr().err

    yield run_raising
    threading.excepthook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


def real(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        **options,
    )


def test_success_is_zero(outcome):
    assert outcome(None) == (0, "") or outcome(None) == (None, "")


@pytest.mark.parametrize("kind", [ConfigError, DataError, DownloadError, TrainingError])
def test_a_user_error_is_its_message_and_two(outcome, kind):
    assert outcome(kind("expected a, got b")) == (2, "expected a, got b\n")


def test_a_wrong_option_is_two_too(outcome):
    code, printed = outcome(click.BadParameter("no"))
    assert code == 2
    assert "no" in printed


def test_no_terminal_obeys_what_a_wrong_argument_contains(outcome):
    code, printed = outcome(click.UsageError("cat\x1b[2J.csv exists already"))
    assert code == 2
    assert "\x1b" not in printed
    assert ".csv exists already" in printed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_has_the_shells_exit_code(outcome, number, code):
    assert outcome(Interruption(number, "stopped")) == (code, "stopped\n")


@pytest.mark.parametrize("number", DISK_FULL)
def test_a_full_disk_is_reported_wherever_it_shows(outcome, number):
    code, printed = outcome(OSError(number, os.strerror(number), "metrics.json"))
    assert code == 2
    assert printed.startswith("The disk is full: ")
    assert "metrics.json" in printed
    assert "repeat the command" in printed


@pytest.mark.parametrize("number", UNUSABLE_PATH)
def test_an_unusable_path_is_reported_with_its_name(outcome, number):
    code, printed = outcome(OSError(number, os.strerror(number), "/some/where"))
    assert code == 2
    assert "/some/where" in printed
    assert os.strerror(number) in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("bug"), KeyError("bug"), OSError("bug"), OSError(errno.EBADF, "bug"), OSError(2, "bug")]
)
def test_bugs_keep_their_traceback(outcome, error):
    with pytest.raises(type(error), match="bug"):
        outcome(error)


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_the_first_of_several_processes_prints_the_whole_message(outcome, monkeypatch, variable):
    monkeypatch.setenv(variable, "0")
    assert outcome(DataError("first\nsecond")) == (2, "first\nsecond\n")
    monkeypatch.setenv(variable, "3")
    assert outcome(DataError("first\nsecond")) == (2, "[process 3] first\n")


def test_a_full_disk_in_a_thread_is_left_to_the_main_thread_and_bugs_are_not(outcome, capfd):
    outcome(None)

    def fail(error: Exception) -> None:
        raise error

    for error in (OSError(errno.ENOSPC, "No space left on device"), ValueError("a bug")):
        thread = threading.Thread(target=fail, args=(error,))
        thread.start()
        thread.join()
    printed = capfd.readouterr().err
    assert "a bug" in printed
    assert "No space left" not in printed


def test_the_command_is_the_same_by_each_of_its_names():
    printed = [
        real(str(ROOT / "run.py"), "--help"),
        real("-m", "triptych", "train", "--help"),
        real("-c", "from triptych.cli.main import main; main()", "train", "--help"),
    ]
    assert all(one.returncode == 0 and one.stderr == "" for one in printed)
    options = [one.stdout.partition("\n")[2] for one in printed]
    assert options[0] == options[1] == options[2]
    assert "--config" in options[0]


def test_the_help_fits_a_screen():
    headings = 9  # usage, purpose and options, above the verbs
    for arguments, most in ((["train", "--help"], 24), (["describe", "-h"], 24), (["--help"], headings + len(VERBS))):
        lines = real("-m", "triptych", *arguments).stdout.splitlines()
        assert len(lines) <= most
        assert max(map(len, lines)) <= 80
    listed = real("-m", "triptych", "--help").stdout
    assert all(verb in listed for verb in VERBS)
    assert "..." not in listed.partition("Commands:")[2]


def test_the_version_is_reported():
    assert real("-m", "triptych", "--version").stdout == f"triptych, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["tran"], "Did you mean 'train'?"),
        (["describ"], "Did you mean 'describe'?"),
        (["train", "--confg", "x"], "Did you mean '--config'?"),
        (["train", "--config", "x", "--epoch", "3"], "Did you mean '--epochs'?"),
    ],
)
def test_a_name_that_is_almost_right_is_suggested(command, arguments, hint):
    printed = command(*arguments).ends(2)
    assert hint in printed
    assert "Traceback" not in printed


# The disk is full from the first time on that a file of this name is opened to be written.
FULL = """
import os, re, sys
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        if re.search({pattern!r}, arguments[0]):
            raise OSError(28, "No space left on device", arguments[0])
sys.addaudithook(hook)
"""
FULL_TENSORBOARD = """
from tensorboard.summary.writer.record_writer import RecordWriter
plain, written = RecordWriter.write, 0
def write(self, data):
    global written
    written += 1
    if written > {records}:
        raise OSError(28, "No space left on device")
    return plain(self, data)
RecordWriter.write = write
"""
PLACES = {
    "config": FULL.format(pattern="config.yaml"),
    "hyper-parameters": FULL.format(pattern="hparams.yaml"),
    "untrained state": FULL.format(pattern="version_0-last.ckpt"),
    "best": FULL.format(pattern="epoch=01"),
    "list": FULL.format(pattern="checkpoints.json"),
    "curves at once": FULL_TENSORBOARD.format(records=1),
    "curves later": FULL_TENSORBOARD.format(records=40),
    "metrics": FULL.format(pattern="metrics.json"),
    "file size": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_fills_up_ends_the_run_with_a_message_and_whole_checkpoints(command, quick_yaml, tmp_path, place):
    start = ("train", "--config", quick_yaml, "--output", tmp_path, "--set", "logging.triplet_samples=true")
    printed = command(*start, before=PLACES[place]).ends(2)
    assert "disk is full" in printed
    assert "--resume" in printed
    assert "Traceback" not in printed
    assert "Exception" not in printed
    for checkpoint in (tmp_path / "lightning_checkpoints" / "digits").glob("[!.]*"):
        read_checkpoint(checkpoint)
    assert not list(tmp_path.rglob("*.part*"))
    if place in ("best", "curves later", "metrics"):
        command(*start, "--resume").ends(0)


def test_a_picture_that_finds_the_disk_full_does_not_end_a_finished_run(command, quick_yaml, tmp_path):
    full = FULL.format(pattern="triplet_samples_digits.png")
    start = ("train", "--config", quick_yaml, "--output", tmp_path, "--set", "logging.triplet_samples=true")

    printed = command(*start, before=full).ends(0)

    assert "triplet_samples_digits.png was not drawn: " in printed
    assert "No space left on device" in printed
    assert not list(tmp_path.rglob("*.part*"))


def test_a_disk_that_fills_up_in_a_process_of_its_own_prints_no_noise_at_exit(quick_yaml, tmp_path):
    """The others above are forked, and leave without the interpreter's last steps."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    ended = real(str(ROOT / "run.py"), "--config", str(quick_yaml), "--output", str(tmp_path), preexec_fn=limit)
    assert ended.returncode == 2
    assert "the disk is full (File too large)" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")])
def test_too_little_memory_is_one_message_whatever_was_being_done(outcome, error):
    code, message = outcome(error)
    assert code == 2
    assert all(word in message for word in ("batch_size", "image_size", "activation_checkpointing"))
    assert "Traceback" not in message


def test_a_warning_about_images_is_one_line_without_code(outcome):
    assert outcome(ImageWarning("dark \x1b[2J"))[1] == "note  dark \\x1b[2J\n"
