"""One writer at a time, across processes: a lock that records its holder, released by the system if it ends."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from triptych.errors import SearchError
from triptych.files import replacing
from triptych.text import terminal_text

LOCK = "writer.lock"
OWNER = "writer.json"
PATIENCE = 10.0
"""Seconds that a writer waits for another."""


@contextmanager
def writing(folder: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of an index.

    Raises:
        SearchError: Another process or thread still holds it after this time; the message names it.
    """
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise SearchError(
            f"{folder}: expected to be the only writer, but {_owner(folder)} is writing this index, and did not finish "
            f"within {patience:g} seconds. Searches continue meanwhile; try again when it is done, or stop it."
        ) from None
    except PermissionError as error:
        raise SearchError(f"{folder}: expected a folder that can be written: {error.strerror}.") from None
    try:
        with replacing(folder / OWNER) as temporary:  # never through a link, which may point to another file
            temporary.write_text(json.dumps(_self()))
        yield
    finally:
        with suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _self() -> dict[str, str | int]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "command": Path(sys.argv[0]).name if sys.argv else "",
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text())
        process, host, command, since = (str(owner[key])[:200] for key in ("process", "host", "command", "since"))
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    return terminal_text(f"process {process} on {host} ({command or 'python'}, since {since})")
