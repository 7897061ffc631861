"""Finds a run by its name, its version folder, or one of its checkpoints, without opening a checkpoint."""

import os
import re
from difflib import get_close_matches
from pathlib import Path

from triptych.errors import CheckpointError
from triptych.runs.checkpoint_list import own_names
from triptych.runs.folders import RunFolders, all_runs, newest_run


def find_run(meant: str, root: Path) -> RunFolders:
    """Find a run.

    Args:
        meant: "digits/3", "digits/version_3", the path of a version folder, or the path of a checkpoint in
            `lightning_checkpoints/<dataset>/`. A link such as best.ckpt means the run of its target.
        root: The output directory in which names are looked up; a path has its own.

    Raises:
        CheckpointError: There is no such run; the message lists the existing runs.
    """
    found = named_run(meant, root) or run_of_folder(Path(meant)) or run_of_checkpoint(Path(meant))
    if found is not None and found.version_folder.is_dir():
        return found
    known = [run.name for run in all_runs(root)]
    if close := get_close_matches(meant.replace("version_", ""), known, n=3):
        hint = f"Did you mean {' or '.join(close)}?"
    elif known:
        hint = f"Under {root.resolve()} there are {', '.join(known[:8])}{' and others' if len(known) > 8 else ''}."
    else:
        hint = f"Under {root.resolve()} there is no run; name its output root with --output."
    raise CheckpointError(
        f"{meant}: expected a run, as digits/3, its version folder, or a checkpoint in "
        f"lightning_checkpoints/<dataset>/; found none. {hint}"
    )


def run_of_checkpoint(path: Path) -> RunFolders | None:
    """Find the run whose version folder claims a checkpoint; None for a file that was moved out of its run."""
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 # as above
    if not path.is_file() or folder.parent.name != "lightning_checkpoints":
        return None
    name, root = path.resolve().name, folder.parent.parent
    if name in {"best.ckpt", "last.ckpt"}:
        # If links are plain files, these two belong to the latest run.
        return newest_run(root, folder.name)
    runs = (run for run in all_runs(root) if run.dataset == folder.name)
    return next((run for run in runs if name in {run.last.name, *own_names(run)}), None)


def run_of_folder(path: Path) -> RunFolders | None:
    """Parse root, data set and version from a version folder's path, unresolved, because its parents may be links."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 # Path.resolve() would follow those links
    match = re.fullmatch(r"version_(\d+)", place.name, re.ASCII)
    if match is None or len(place.parents) < 4:
        return None
    dataset = place.parents[1].name
    found = RunFolders(place.parents[3], dataset, int(match[1]))
    return found if found.version_folder == place else None


def is_name_of_run(meant: str) -> bool:
    """Return whether text has the form of a run's name; the run may not exist.

    Example:
        >>> is_name_of_run("digits/3"), is_name_of_run("my photos/version_0"), is_name_of_run("digits.ckpt")
        (True, True, False)
    """
    return _parsed(meant) is not None


def named_run(meant: str, root: Path) -> RunFolders | None:
    """Find the run of a name such as "digits/3" in an output directory; None if there is none."""
    parsed = _parsed(meant)
    named = RunFolders(root, *parsed) if parsed else None
    return named if named is not None and named.version_folder.is_dir() else None


def _parsed(meant: str) -> tuple[str, int] | None:
    """Split a run's name into data set and version. The data set of your own images has the name of their folder."""
    match = re.fullmatch(r"([^/\\\x00]+)[/\\](?:version_)?(\d{1,9})[/\\]?", meant, re.ASCII)
    return (match[1], int(match[2])) if match and match[1] not in {".", ".."} else None
