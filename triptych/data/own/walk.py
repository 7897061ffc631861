"""Finds the image files in folders, each once, whatever links lead to it; for `folder.py`."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triptych.data.own.classes import natural_key
from triptych.data.pixels.opening import EXTENSIONS
from triptych.errors import DataError

SYSTEM_FILES = frozenset({"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"})
"""What systems leave among images, besides hidden files."""


@dataclass
class Found:
    """What lies in some folders. All paths are below the root, with slashes.

    Attributes:
        images: For each of the folders, the paths of its images in natural order.
        left_out: How many files are no images, by extension.
        seen_again: Files and folders that are, by a link, what has been found elsewhere.
        dead_links: Symbolic links that lead nowhere.
    """

    images: list[list[str]]
    left_out: Counter[str] = field(default_factory=Counter)
    seen_again: list[str] = field(default_factory=list)
    dead_links: list[str] = field(default_factory=list)


def find_images(root: Path, folders: Sequence[str]) -> Found:
    """Find the images in folders below `root` and in all folders within these.

    Symbolic links are followed, out of `root` too, when all that is no link has been found: of a file with several
    names, one that is no link counts, and of several hard links the first.

    Raises:
        DataError: A folder may not be read.
    """
    found = Found([[] for _ in folders])
    _Walk(root, folders, found).run()
    return found


@contextmanager
def looking_into(folder: Path) -> Iterator[None]:
    """Turn what the system says against reading a folder in the block into one DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be looked into ({error.strerror}). Mend its permissions.") from error


def visible(folder: Path) -> tuple[list[os.DirEntry[str]], int]:
    """List what is in a folder, and count what is hidden or of the system.

    Raises:
        DataError: It may not be read.
    """
    with looking_into(folder), os.scandir(folder) as entries:
        every = list(entries)
    shown = [entry for entry in every if not entry.name.startswith(".") and entry.name not in SYSTEM_FILES]
    return shown, len(every) - len(shown)


def extension(name: str) -> str:
    """Return the extension of a file's name in lower case, or nothing.

    Example:
        >>> extension("holiday.2024.JPG")
        '.jpg'
    """
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


class _Image(NamedTuple):
    """A name of an image's file."""

    path: str
    inode: int
    is_linked: bool
    """Whether a symbolic link was on the way."""


class _Walk:
    """The way through the folders."""

    def __init__(self, root: Path, folders: Sequence[str], found: Found) -> None:
        self._root = root
        self._folders = folders
        self._found = found
        self._images: list[list[_Image]] = [[] for _ in folders]
        self._links: list[tuple[int, str]] = []
        around = (root.resolve(), *root.resolve().parents)
        self._entered = {_identity(folder) for folder in around}

    def run(self) -> None:
        for number, path in enumerate(self._folders):
            if self._is_linked(path):
                self._links.append((number, path))
            else:
                self._descend(number, path, is_linked=False)
        while self._links:
            links, self._links = self._links, []
            for number, path in sorted(links, key=lambda link: (link[0], natural_key(link[1]))):
                self._follow(number, path)
        again = self._again()
        self._found.images = [
            sorted(
                (image.path for image in images if image.path not in again),
                key=lambda path: natural_key(path[path.index("/") :]),
            )
            for images in self._images
        ]
        self._found.seen_again += sorted(again, key=natural_key)

    def _descend(self, number: int, top: str, *, is_linked: bool) -> None:
        """Walk through a folder and those in it, but into none twice, nor into one that the root lies in."""
        ahead = [top]
        while ahead:
            path = ahead.pop()
            identity = _identity(self._root / path)
            if identity in self._entered:
                self._found.seen_again.append(path)
                continue
            self._entered.add(identity)
            entries, hidden = visible(self._root / path)
            self._found.left_out["hidden"] += hidden
            for entry in entries:
                below = f"{path}/{entry.name}"
                if entry.is_symlink():
                    self._links.append((number, below))
                elif entry.is_dir():
                    ahead.append(below)
                elif self._is_image(entry.name) and entry.is_file():
                    self._images[number].append(_Image(below, entry.inode(), is_linked))

    def _follow(self, number: int, path: str) -> None:
        """See what a symbolic link leads to."""
        try:
            target = (self._root / path).stat()
        except OSError:  # nothing, or the link itself
            self._found.dead_links.append(path)
            return
        if stat.S_ISDIR(target.st_mode):
            self._descend(number, path, is_linked=True)
        elif self._is_image(path.rpartition("/")[2]) and stat.S_ISREG(target.st_mode):
            self._images[number].append(_Image(path, target.st_ino, is_linked=True))

    def _is_image(self, name: str) -> bool:
        found = extension(name)
        if found in EXTENSIONS:
            return True
        self._found.left_out[found or "without extension"] += 1
        return False

    def _is_linked(self, path: str) -> bool:
        below = Path(path)
        return any((self._root / part).is_symlink() for part in (below, *below.parents[:-1]))

    def _again(self) -> set[str]:
        """Find the images that have been found by another name before."""
        every = [(number, image) for number, images in enumerate(self._images) for image in images]
        _, group, counts = np.unique([image.inode for _, image in every], return_inverse=True, return_counts=True)
        shared = [every[place] for place in np.flatnonzero(counts[group] > 1)]
        shared.sort(key=lambda one: (one[1].is_linked, one[0], natural_key(one[1].path)))
        kept: dict[int, list[_Image]] = {}
        again = set()
        for _, image in shared:
            before = kept.setdefault(image.inode, [])
            if any(self._are_one(image, other) for other in before):
                again.add(image.path)
            else:
                before.append(image)
        return again

    def _are_one(self, image: _Image, before: _Image) -> bool:
        """Compare two files in full: inode numbers are unique on one device only, and on some not even there."""
        one, other = (self._root / image.path).stat(), (self._root / before.path).stat()
        return os.path.samestat(one, other) and (image.is_linked or one.st_nlink > 1)


def _identity(folder: Path) -> tuple[int, int]:
    with looking_into(folder):
        found = folder.stat()
    return found.st_dev, found.st_ino
