"""The error for an invalid data file: the file, what was expected, what was received, and a remedy."""

import pickle
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.errors import DataError

REMEDY = "Put a whole copy in its place, or take this copy away so that another one is used."


def invalid(path: Path, expected: str, received: str) -> DataError:
    """Create the error with the file, its expected content and its actual content."""
    return DataError(f"{path}: expected {expected}, but received {received}. {REMEDY}")


def regular_file(path: Path, expected: str) -> None:
    """Check that a path is a regular file: opening a pipe would block.

    Raises:
        DataError: It is missing, a folder, a pipe, a socket or a device.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        raise invalid(path, expected, "nothing: there is no such file") from error
    except OSError as error:
        raise invalid(path, expected, f"one that cannot be read ({error.strerror})") from error
    if stat.S_ISDIR(kind):
        raise invalid(path, expected, "a folder of that name")
    if not stat.S_ISREG(kind):
        raise invalid(path, expected, "a pipe, socket or device")


@contextmanager
def reading_from(path: Path, expected: str) -> Iterator[None]:
    """Convert the standard library's errors about a missing, unreadable or damaged file to a `DataError`.

    Args:
        path: The file that is read in the block.
        expected: Description of the expected file, for example "a gzip file".

    Raises:
        DataError: Reading failed.
    """
    regular_file(path, expected)
    try:
        yield
    except FileNotFoundError as error:
        raise invalid(path, expected, "nothing: there is no such file") from error
    except EOFError as error:
        raise invalid(path, expected, "a file that is cut off before its end") from error
    except (OSError, zlib.error, tarfile.TarError, pickle.UnpicklingError) as error:
        raise invalid(path, expected, f"one that cannot be read ({error})") from error
