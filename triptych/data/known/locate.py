"""Where the data sets' files may lie, in the order in which they are looked for; for `load_dataset`."""

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
    """A folder to look in.

    Attributes:
        title: What people call it.
        folder: The folder, which need not exist.
    """

    title: str
    folder: Path

    def __str__(self) -> str:
        state = "" if self.folder.is_dir() else " (no such folder)"
        return f"{self.title}: {self.folder}{state}"


def places(root: str | Path | None, system: Sequence[str]) -> list[Place]:
    """List the folders to look in, before the cache: `root`, those of TRIPTYCH_DATA, the system's own.

    Args:
        root: The folder that the user named for this data set, if any.
        system: Folders in which a system's package puts it.
    """
    named = [root] if root else []
    listed = [entry for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]
    return [
        *(Place("root", Path(entry).expanduser()) for entry in named),
        *(Place(VARIABLE, Path(entry).expanduser()) for entry in listed),
        *(Place("system", Path(entry)) for entry in system),
    ]


def cache_folder() -> Path:
    """Return the folder of this user that downloads go to."""
    return platformdirs.user_cache_path("triptych")


def decoded_folder() -> Path:
    """Return the folder of this user that decoded images are kept in."""
    return cache_folder() / "images"


def features_folder() -> Path:
    """Return the folder of this user that keeps the features of frozen encoders, one `.npy` a split."""
    return cache_folder() / "features"


def first_found(folders: Iterable[Path], find: Callable[[Path], Path | None]) -> Path | None:
    """Look in one folder after the other.

    Raises:
        DataError: A folder may not be read.
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
