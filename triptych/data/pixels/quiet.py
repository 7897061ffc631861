"""Summarises the many warnings of Pillow and its libraries about damaged files in one line."""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

SHOWN = 2
"""Maximum number of messages that are printed unchanged."""


@contextmanager
def summarised_warnings() -> Iterator[None]:
    """Collect warnings about images in the block, from Python and from C libraries, and print a summary.

    C libraries write to the process's standard error. Use `own_stderr` to write there within the block.
    """
    messages: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught, _stderr_of_libraries(messages):
            warnings.filterwarnings("default", module=r"PIL\b|pillow")
            yield
    finally:
        for warning in caught:
            if "PIL" in warning.filename or "pillow" in warning.filename.lower():
                messages.append(str(warning.message))
            else:
                warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
        different = list(dict.fromkeys(messages))
        for message in different[:SHOWN]:
            sys.stderr.write(f"{message}\n")
        if len(messages) > SHOWN:
            sys.stderr.write(f"{len(messages) - min(SHOWN, len(different)):,} more messages about the images.\n")


@contextmanager
def own_stderr() -> Iterator[TextIO]:
    """Yield a stream to standard error that `summarised_warnings` does not collect."""
    copy = None
    with suppress(OSError, ValueError, AttributeError):
        if sys.stderr.fileno() == 2:
            copy = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    try:
        yield copy or sys.stderr
    finally:
        if copy is not None:
            copy.close()


@contextmanager
def _stderr_of_libraries(messages: list[str]) -> Iterator[None]:
    try:
        sys.stderr.flush()
        before = os.dup(2)
    except (OSError, ValueError, AttributeError):  # a process without standard error
        yield
        return
    with tempfile.TemporaryFile() as collected:
        os.dup2(collected.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            collected.seek(0)
            messages += filter(None, collected.read().decode(errors="backslashreplace").splitlines())
