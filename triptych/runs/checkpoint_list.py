"""Whose checkpoint is whose: the names that each run claims in its version folder, so that none takes another's."""

import json
import os
from collections.abc import Iterable
from typing import Any

from triptych.errors import TrainingError
from triptych.files import replacing
from triptych.runs.folders import RunFolders


def own_names(folders: RunFolders) -> set[str]:
    """Return the file names that the run has claimed; a claimed file need not be written yet."""
    return set(map(str, _read(folders).get("files", [])))


def best_name(folders: RunFolders) -> str | None:
    """Return the file name of the run's best checkpoint; None where it has none yet."""
    return _read(folders).get("best") or None


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
    """Return `stem.ckpt`, or `stem-v1.ckpt` and so on where another run has the name.

    A name that the run itself has claimed is free: it wrote that file before it was killed, and writes it again.
    """
    own = own_names(folders)
    taken = set().union(*(own_names(other) for other in folders.others()))
    for suffix in ("", *(f"-v{number}" for number in range(1, 10_000))):
        name = f"{stem}{suffix}.ckpt"
        if name not in taken and (name in own or not (folders.checkpoints / name).exists()):
            return name
    raise TrainingError(f"Too many checkpoints named {stem} in {folders.checkpoints}: move some away.")


def _read(folders: RunFolders) -> dict[str, Any]:
    """Read the list; one that is missing or damaged claims nothing."""
    try:
        content = json.loads(folders.checkpoint_list.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
