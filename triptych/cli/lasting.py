"""Output that neither ends nor crashes a command: for readers that leave, and consoles with few characters."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

LOST = (errno.EPIPE, errno.EIO, errno.ESHUTDOWN)
"""Errors of a pipe without a reader (`| head`) and of a terminal that was closed."""


@contextmanager
def lasting_output() -> Iterator[None]:
    """Keep standard output and error usable: without a reader, output is discarded and the command continues.

    Characters that the console cannot encode are written as escapes.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Lasting(stream) if stream else stream for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
        sys.stdout, sys.stderr = before


class _Lasting:
    """A text stream that survives its reader."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._discard_if_lost(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._discard_if_lost(error)

    def _discard_if_lost(self, error: OSError) -> None:
        """Lead the stream to nowhere, so that what is buffered, and libraries and processes that share it, write on."""
        if error.errno not in LOST:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a text stream has
        return getattr(self._stream, name)
