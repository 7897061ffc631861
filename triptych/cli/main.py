"""The `triptych` command: its verbs, and the one place where mistakes become messages and exit codes."""

import errno
import os
import signal
import sys
import threading
from types import FrameType

import click

from triptych.cli.audit import audit
from triptych.cli.cache import cache
from triptych.cli.describe import describe
from triptych.cli.doctor import doctor
from triptych.cli.evaluate import evaluate
from triptych.cli.index import index
from triptych.cli.init import init
from triptych.cli.options import HELP
from triptych.cli.predict import predict
from triptych.cli.relabel import relabel
from triptych.cli.runs import runs
from triptych.cli.search import search
from triptych.cli.train import train
from triptych.errors import Interruption, TriptychError
from triptych.files import DISK_FULL
from triptych.version import __version__

VERBS = {
    "init": init,
    "doctor": doctor,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "relabel": relabel,
    "predict": predict,
    "describe": describe,
    "index": index,
    "search": search,
    "runs": runs,
    "cache": cache,
}

USERS_MISTAKE = 2

UNUSABLE_PATH = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.ESTALE),
)
"""What the system says of a folder or file that it does not let us use; any other error is a mistake of ours."""


@click.group(commands=VERBS, context_settings=HELP)
@click.version_option(__version__, prog_name="triptych")
def triptych() -> None:
    """Image embeddings from labelled images: compare, name and repaint, in one latent space."""


def main() -> None:
    """Run the installed command."""
    run(triptych)


def run(command: click.Command) -> None:
    """Run a command and leave the process with its exit code.

    0 for success, 2 for a mistake of the user's (one message, no traceback), 130 and 143 for Ctrl-C and SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    threading.excepthook = _report_thread
    try:
        sys.exit(command.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(USERS_MISTAKE)
    except TriptychError as error:
        _say(str(error))
        sys.exit(USERS_MISTAKE)
    except Interruption as interruption:
        _say(str(interruption))
        sys.exit(interruption.exit_code)
    except Exception as error:
        if not (message := _about_a_full_disk(error) or _about_a_path(error)):
            raise
        _say(message)
        sys.exit(USERS_MISTAKE)


def _about_a_full_disk(error: BaseException | None) -> str | None:
    """Describe a full disk, also where a library made another error of it (as loggers do)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return (
                f"The disk is full: {_with_place(error)}. What was saved before is whole; free some space and go on "
                "with --resume."
            )
        error = error.__cause__ or error.__context__
    return None


def _about_a_path(error: Exception) -> str | None:
    """Describe what the system says of a path, and nothing else."""
    if not (isinstance(error, OSError) and error.errno in UNUSABLE_PATH and error.filename):
        return None
    return (
        f"Expected a path that is there and can be used; got: {_with_place(error)}. Check the path and its "
        "permissions, or name another folder."
    )


def _with_place(error: OSError) -> str:
    place = error.filename2 or error.filename
    return f"{error.strerror} ({place})" if place else str(error.strerror)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Stop where we stand; the training loop puts a handler of its own in place, which finishes the step first."""
    name = signal.Signals(number).name
    raise Interruption(number, f"Stopped by {name}. What was saved before is whole; go on with --resume.")


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Leave a full disk to the main thread: TensorBoard's writer hands its error over, which is then told once."""
    error = failure.exc_value
    if not (isinstance(error, OSError) and error.errno in DISK_FULL):
        threading.__excepthook__(failure)


def _say(message: str) -> None:
    """Print a message once, however many processes train together: the first tells all, the others name themselves."""
    rank = next((os.environ[key] for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if key in os.environ), "0")
    click.echo(message if rank == "0" else f"[process {rank}] {message.splitlines()[0]}", err=True)


if __name__ == "__main__":
    main()
