"""Finds the image files in folders, each once, with symbolic links resolved."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from triptych.data.own.names import natural_key
from triptych.data.pixels.opening import EXTENSIONS
from triptych.errors import DataError

SYSTEM_FILES = frozenset(
    {
        *("__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "recycler"),
        *("system volume information", "lost+found", "found.000", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__"),
    }
)
"""System files among images, in lower case, besides hidden files."""


@dataclass
class Found:
    """Content of folders. All paths are relative to the root, with slashes.

    Attributes:
        images: For each of the folders, the paths of its images in natural order.
        left_out: Number of files that are not images, by extension.
        seen_again: Symbolic links to files and folders that were found elsewhere.
        dead_links: Broken symbolic links.
    """

    images: list[list[str]]
    left_out: Counter[str] = field(default_factory=Counter)
    seen_again: list[str] = field(default_factory=list)
    dead_links: list[str] = field(default_factory=list)


def find_images(root: Path, folders: Sequence[str]) -> Found:
    """Find the images in folders of `root` (an empty name is the root itself) and in all their sub-folders.

    Symbolic links are followed, also out of `root`, after all regular files have been found: a file is listed under its
    own path, or, if that is not in these folders, under the first link to it.

    Raises:
        DataError: A folder cannot be read.
    """
    found = Found([[] for _ in folders])
    here = Path(os.path.realpath(root))
    walk = _Walk(root, found)
    # A link to the root or to one of its parents is a cycle.
    walk.barred = {str(here), *map(str, here.parents)} - ({str(here)} if "" in folders else set())
    for number, path in enumerate(folders):
        if os.path.realpath(root / path) == str(here / path):
            walk.enter(number, path)
        else:
            walk.links.append((number, path))
    walk.follow()
    for images, top in zip(found.images, folders, strict=True):
        images.sort(key=partial(_natural_below, top))
    found.seen_again.sort(key=natural_key)
    return found


@contextmanager
def looking_into(folder: Path) -> Iterator[None]:
    """Convert the system's errors about an unreadable folder to a DataError."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        _reject(error)


def visible(folder: Path) -> tuple[list[os.DirEntry[str]], int]:
    """List the entries of a folder, and count hidden and system files.

    Raises:
        DataError: The folder cannot be read.
    """
    with looking_into(folder), os.scandir(folder) as entries:
        every = list(entries)
    shown = [entry for entry in every if is_visible(entry.name)]
    return shown, len(every) - len(shown)


def is_visible(name: str) -> bool:
    """Return whether a file or folder is neither hidden nor a system file."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FILES


def extension(name: str) -> str:
    """Return the extension of a file name in lower case, or an empty string.

    Example:
        >>> extension("holiday.2024.JPG")
        '.jpg'
    """
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


class _Walk:
    """The state of one search.

    Attributes:
        entered: Real paths of the listed folders.
        barred: Real paths of folders that must not be listed.
        links: Symbolic links that were found, each with the number of its folder.
    """

    def __init__(self, root: Path, found: Found) -> None:
        self._root = root
        self._found = found
        self.entered: set[str] = set()
        self.barred: set[str] = set()
        self.links: list[tuple[int, str]] = []

    def enter(self, number: int, top: str) -> None:
        """List the files in a folder and its sub-folders, without following links, each folder once."""
        for folder, folders, files in os.walk(self._root / top, onerror=_reject):
            below = Path(folder).relative_to(self._root).as_posix()
            start = "" if below == "." else f"{below}/"
            real = os.path.realpath(folder)
            if real in self.entered or real in self.barred:
                self._found.seen_again.append(below)
                folders.clear()
                continue
            self.entered.add(real)
            self._found.left_out["hidden"] += sum(not is_visible(name) for name in (*folders, *files))
            folders[:] = filter(is_visible, folders)
            self.links += [(number, start + name) for name in folders if Path(folder, name).is_symlink()]
            for name in filter(is_visible, files):
                kind = os.lstat(f"{folder}{os.sep}{name}").st_mode
                if stat.S_ISLNK(kind):
                    self.links.append((number, start + name))
                elif _is_image(name, self._found) and stat.S_ISREG(kind):
                    self._found.images[number].append(start + name)

    def follow(self) -> None:
        """Enter the folders that links point to, then list linked files that are not listed yet."""
        to_files: list[tuple[int, str]] = []
        while self.links:
            links, self.links = sorted(self.links, key=_by_name), []
            for number, path in links:
                if (self._root / path).is_dir():
                    self.enter(number, path)
                else:
                    to_files.append((number, path))
        targets: set[Path] = set()
        for number, path in sorted(to_files, key=_by_name):
            target = Path(os.path.realpath(self._root / path))
            if not target.exists():
                self._found.dead_links.append(path)
            elif _is_image(path.rpartition("/")[2], self._found) and target.is_file():
                if target in targets or self._is_listed(target):
                    self._found.seen_again.append(path)
                else:
                    targets.add(target)
                    self._found.images[number].append(path)

    def _is_listed(self, target: Path) -> bool:
        return str(target.parent) in self.entered and is_visible(target.name) and extension(target.name) in EXTENSIONS


def _by_name(link: tuple[int, str]) -> tuple[int, str]:
    return link[0], natural_key(link[1])


def _natural_below(top: str, path: str) -> str:
    return natural_key(path[len(top) :])


def _is_image(name: str, found: Found) -> bool:
    ending = extension(name)
    if ending not in EXTENSIONS:
        found.left_out[ending or "without extension"] += 1
    return ending in EXTENSIONS


def _reject(error: OSError) -> None:
    raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror}). Fix its permissions.") from error
