"""The `triptych` command: its verbs, and the one place where exceptions become messages and exit codes."""

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import StringIO
from types import FrameType
from typing import Any

import click

from triptych.cli.continuing import how_to_continue
from triptych.cli.images.cache import cache
from triptych.cli.images.doctor import doctor
from triptych.cli.images.init import init
from triptych.cli.models.audit import audit
from triptych.cli.models.describe import describe
from triptych.cli.models.evaluate import evaluate
from triptych.cli.models.explore import explore
from triptych.cli.models.export import export
from triptych.cli.models.predict import predict
from triptych.cli.models.relabel import relabel
from triptych.cli.options import HELP
from triptych.cli.runs import runs
from triptych.cli.search.embed import embed
from triptych.cli.search.index import index
from triptych.cli.search.search import search
from triptych.cli.search.serve import serve
from triptych.cli.train import train
from triptych.console import lasting_output
from triptych.errors import OUT_OF_MEMORY, ImageWarning, Interruption, TriptychError, is_out_of_memory
from triptych.files import DISK_FULL
from triptych.packages import about_training
from triptych.text import terminal_lines, terminal_text
from triptych.version import __version__

VERBS = {
    "init": init,
    "doctor": doctor,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "explore": explore,
    "relabel": relabel,
    "predict": predict,
    "describe": describe,
    "export": export,
    "embed": embed,
    "index": index,
    "search": search,
    "serve": serve,
    "runs": runs,
    "cache": cache,
}

USER_ERROR = 2

UNUSABLE_PATH = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.ESTALE),
)
"""Errors of the system about a path; all others are bugs."""


@click.group(commands=VERBS, context_settings=HELP)
@click.version_option(__version__, prog_name="triptych")
def triptych() -> None:
    """Image embeddings by metric learning, classification and a VAE."""


def main() -> None:
    """Run the installed command."""
    run(triptych)


def run(command: click.Command) -> None:
    """Run a command and exit the process with its code.

    0 for success, 2 for errors of the user (one message, no traceback), 130 and 143 for Ctrl-C and SIGTERM.
    """
    with lasting_output(), _plain_notes():
        _run(command)


def _run(command: click.Command) -> None:
    to_continue = how_to_continue(command.name, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_interrupt, to_continue))
    threading.excepthook = _report_thread
    try:
        sys.exit(command.main(standalone_mode=False))
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        click.echo(terminal_lines(shown.getvalue()), err=True, nl=False)
        sys.exit(USER_ERROR)
    except TriptychError as error:
        _report(str(error))
        sys.exit(USER_ERROR)
    except Interruption as interruption:
        _report(str(interruption))
        sys.exit(interruption.exit_code)
    except Exception as error:
        if not (
            message := _about_a_full_disk(error, to_continue)
            or _about_a_path(error)
            or about_training(error)
            or (OUT_OF_MEMORY if is_out_of_memory(error) else None)
        ):
            raise
        _report(message)
        sys.exit(USER_ERROR)


@contextmanager
def _plain_notes() -> Iterator[None]:
    """Print warnings about images as one line each, without the line of code that Python adds."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:  # noqa: ANN401 - Python's own
            if issubclass(category, ImageWarning):
                click.echo(f"note  {terminal_text(message)}", err=True)
            else:
                usual(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment] # with Python's arguments, by position
        yield


def _about_a_full_disk(error: BaseException | None, to_continue: str) -> str | None:
    """Describe a full disk, even if a library has raised another error because of it, as loggers do."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return (
                f"The disk is full: {_with_place(error)}. Files saved before are complete; free some space, then "
                f"{to_continue}."
            )
        error = error.__cause__ or error.__context__
    return None


def _about_a_path(error: Exception) -> str | None:
    """Describe an error of the system about a path."""
    if not (isinstance(error, OSError) and error.errno in UNUSABLE_PATH and error.filename):
        return None
    return (
        f"The path does not exist or is not accessible: {_with_place(error)}. Check the path and its permissions, or "
        "choose another folder."
    )


def _with_place(error: OSError) -> str:
    place = error.filename2 or error.filename
    return f"{error.strerror} ({place})" if place else str(error.strerror)


def _interrupt(to_continue: str, number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Stop at once; during training another handler completes the step first."""
    name = signal.Signals(number).name
    raise Interruption(number, f"Stopped by {name}. Files saved before are complete; {to_continue}.")


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Leave a full disk to the main thread, which TensorBoard's writer passes its error to."""
    error = failure.exc_value
    if not (isinstance(error, OSError) and error.errno in DISK_FULL):
        threading.__excepthook__(failure)


def _report(message: str) -> None:
    """Print a message once: of several processes the first prints all of it, the others one line with their rank."""
    message = terminal_lines(message)
    rank = next((os.environ[key] for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if key in os.environ), "0")
    click.echo(message if rank == "0" else f"[process {rank}] {message.splitlines()[0]}", err=True)


if __name__ == "__main__":
    main()
