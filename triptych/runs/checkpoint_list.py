"""The checkpoints of each run: file names listed in its version folder, so that runs do not overwrite each other's."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from triptych.errors import CheckpointError, TrainingError
from triptych.files import read_start, replacing
from triptych.runs.folders import RunFolders

LARGEST = 1 << 24
"""Maximum size of a list in bytes."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w=.\-]*\.ckpt$")]
"""A checkpoint's file name, never a path."""


def own_names(folders: RunFolders) -> set[str]:
    """Return the file names that the run has claimed; a claimed file may not exist yet."""
    return set(_read(folders).files)


def best_name(folders: RunFolders) -> str | None:
    """Return the file name of the run's best checkpoint; None if it has none yet."""
    return _read(folders).best or None


def best_checkpoint(folders: RunFolders) -> Path:
    """Return the best checkpoint of a run.

    Raises:
        CheckpointError: The run has none yet.
    """
    name = best_name(folders)
    if name is None:
        raise CheckpointError(
            f"{folders.name}: expected a run that has finished an epoch, but it has no best checkpoint yet. Resume it, "
            "or choose another run."
        )
    return folders.checkpoints / name


def check_names(folders: RunFolders) -> None:
    """Check the list of a run that is about to write and remove checkpoints.

    Raises:
        CheckpointError: It is damaged, or lists anything other than checkpoints in the run's folder of checkpoints; or
            that folder is a link to a folder in which another run has a last state of the same name.
    """
    path = folders.checkpoint_list
    if owner := next((other for other in folders.others() if folders.last.name in own_names(other)), None):
        raise CheckpointError(
            f"{folders.checkpoints}: expected the checkpoints of {folders.version_folder}; the folder is a link, and "
            f"{folders.last.name} in it belongs to {owner.version_folder}. Replace the link by a folder with the run's "
            "own checkpoints, or start a new run without --resume."
        )
    if not path.exists():
        return
    try:
        _List.model_validate_json(read_start(path, LARGEST))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected plain names of checkpoints, such as version_0-last.ckpt, got something else "
            f"({' '.join(str(error).split())[:200]}). The file was damaged, or not written by this program: remove it."
        ) from error


def write_names(folders: RunFolders, *, best: str, files: Iterable[str]) -> None:
    """Write `checkpoints.json`: the best and the last checkpoint of the run, and every file that it claims."""
    content = {
        "folder": os.path.relpath(folders.checkpoints, folders.version_folder),
        "best": best,
        "last": folders.last.name,
        "files": sorted(files),
    }
    with replacing(folders.checkpoint_list) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def free_name(folders: RunFolders, stem: str) -> str:
    """Return `stem.ckpt`, or `stem-v1.ckpt` and so on if another run has the name.

    A name that the run itself has claimed is free: it wrote that file before it was killed, and writes it again.
    """
    own = own_names(folders)
    taken = set().union(*(own_names(other) for other in folders.others()))
    for suffix in ("", *(f"-v{number}" for number in range(1, 10_000))):
        name = f"{stem}{suffix}.ckpt"
        if name not in taken and (name in own or not (folders.checkpoints / name).exists()):
            return name
    raise TrainingError(f"Too many checkpoints named {stem} in {folders.checkpoints}: move some away.")


class _List(BaseModel):
    """The content of `checkpoints.json`: names of checkpoints, never paths."""

    model_config = ConfigDict(strict=True, extra="ignore")

    best: Literal[""] | Name = ""
    files: list[Name] = []


def _read(folders: RunFolders) -> _List:
    """Read the list; a missing or invalid list is empty."""
    try:
        return _List.model_validate_json(read_start(folders.checkpoint_list, LARGEST))
    except (OSError, ValueError):
        return _List()
