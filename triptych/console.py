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
    # None in a process without a console, such as a service.
    lasting = [_Lasting(stream) if stream else stream for stream in before]
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        for stream in filter(None, lasting):
            stream.finish()
        sys.stdout, sys.stderr = before


class _Lasting:
    """A text stream that survives its reader."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._errors = getattr(stream, "errors", None)
        self._reconfigure("backslashreplace")

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

    def finish(self) -> None:
        """Write what is buffered, and treat characters as before."""
        self.flush()
        if self._errors:
            self._reconfigure(self._errors)

    def _reconfigure(self, errors: str) -> None:
        if hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(errors=errors)

    def _discard_if_lost(self, error: OSError) -> None:
        """Lead the stream to nowhere, so that what is buffered, and libraries and processes that share it, write on."""
        if error.errno not in LOST:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a text stream has
        return getattr(self._stream, name)
