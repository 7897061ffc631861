"""Search paths of the data sets' files, in search order; for `load_dataset`."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from triptych.errors import DataError

VARIABLE = "TRIPTYCH_DATA"
"""Environment variable: folders that hold data sets, separated as in PATH."""


@dataclass(frozen=True)
class Place:
    """A folder to search.

    Attributes:
        title: Its display name.
        folder: The folder, which may not exist.
    """

    title: str
    folder: Path

    def __str__(self) -> str:
        state = "" if self.folder.is_dir() else " (no such folder)"
        return f"{self.title}: {self.folder}{state}"


def places(root: str | Path | None, system: Sequence[str]) -> list[Place]:
    """List the folders to search before the cache: `root`, those of TRIPTYCH_DATA, the system's own.

    Args:
        root: The folder that the user specified for this data set, if any.
        system: Folders of system packages with this data set.
    """
    named = [root] if root else []
    listed = [entry for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]
    return [
        *(Place("root", Path(entry).expanduser()) for entry in named),
        *(Place(VARIABLE, Path(entry).expanduser()) for entry in listed),
        *(Place("system", Path(entry)) for entry in system),
    ]


def cache_folder() -> Path:
    """Return the user's folder for downloads."""
    return platformdirs.user_cache_path("triptych")


def decoded_folder() -> Path:
    """Return the user's cache folder for decoded images."""
    return cache_folder() / "images"


def features_folder() -> Path:
    """Return the user's cache folder for features of frozen encoders, one `.npy` per split."""
    return cache_folder() / "features"


def first_found(folders: Iterable[Path], find: Callable[[Path], Path | None]) -> Path | None:
    """Search one folder after the other.

    Raises:
        DataError: A folder is not readable.
    """
    for folder in folders:
        try:
            found = find(folder)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be looked into ({error.strerror}). Fix its permissions or name another folder."
            ) from error
        if found:
            return found
    return None
