"""Lists a folder of labelled images, with one sub-folder per class, without opening any image."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from triptych.data.listing import SPLITS, TRAIN, Files, Listing, listed, printable, split_of, splits_of
from triptych.data.own.classes import number_classes, one_spelling
from triptych.data.own.names import composed, natural_key
from triptych.data.own.walk import Found, extension, find_images, looking_into, visible
from triptych.data.pixels.opening import EXTENSIONS
from triptych.errors import DataError


def list_folder(root: str | Path) -> Listing:
    """List `root/{train,val,test}/<class>/*` or `root/<class>/*`.

    The folders of splits are train, val and test, or other usual spellings, such as Training and test_set; only train
    is required. They can also be inside each class folder, and everything can be inside one more folder. Next to
    folders with other names, they are splits if train contains folders and no images, and classes otherwise. Images can
    be in sub-folders of a class. Images are detected by their file extension; hidden files and system files are
    omitted. An image with several names by symbolic links is listed once.

    Returns:
        The images sorted by split, class and path, in natural order ("2" before "10"), independent of file system and
        locale. The notes list what was omitted.

    Raises:
        DataError: It is not a folder, is not readable, has no class folders or only one class, or has validation or
            test images of a class without training images.
    """
    root = Path(root).expanduser()
    with looking_into(root):
        is_folder = root.is_dir()
    if not is_folder:
        received = "a file: unpack it and name the folder" if root.exists() else "nothing: there is no such folder"
        raise DataError(f"{root}: expected a folder of images, but received {received}.")
    layout = _Layout(root)
    folders = _class_folders(layout)
    found = find_images(root, [folder.path for folder in folders])
    found.left_out.update(layout.left_out)
    paths = [path for images in found.images for path in images]
    if not paths:
        received = listed(_counted(found.left_out)) or f"{len(layout.beside) or 'no'} images beside them"
        raise DataError(
            f"{root}: expected a folder of images for each class, but received {received}. Images are files of "
            f"{', '.join(sorted(EXTENSIONS))}."
        )
    sizes = [len(images) for images in found.images]
    titles = list(dict.fromkeys(folder.title for folder in folders))
    split = np.repeat(np.array([folder.part for folder in folders], np.int8), sizes)
    codes = np.repeat([titles.index(folder.title) for folder in folders], sizes)
    codes, alike = one_spelling(titles, codes, split)
    labels, classes = number_classes(titles, codes, split, origin=str(root))
    return Listing(
        sources=Files(root, paths),
        names=_names(paths),
        labels=labels,
        classes=classes,
        split=torch.from_numpy(split),
        groups=None,
        origin=f"read from {root}",
        notes=(*_notes(layout, folders, found), *alike),
    )


class _ClassFolder(NamedTuple):
    """A folder with the images of one class."""

    part: int
    """Position in SPLITS."""
    title: str
    """The name of the class."""
    path: str
    """Its path relative to the root."""


@dataclass
class _Layout:
    """The upper levels of the tree, and other files in them."""

    root: Path
    left_out: Counter[str] = field(default_factory=Counter)
    beside: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def folders(self, path: str = "") -> list[str]:
        """List the folders in a folder, in natural order, and record other files."""
        entries, hidden = visible(self.root / path)
        self.left_out["hidden"] += hidden
        files = [entry.name for entry in entries if not entry.is_dir()]
        self.beside += [f"{path}/{name}".lstrip("/") for name in files if extension(name) in EXTENSIONS]
        self.left_out.update(
            extension(name) or "without extension" for name in files if extension(name) not in EXTENSIONS
        )
        return sorted((entry.name for entry in entries if entry.is_dir()), key=natural_key)


def _class_folders(layout: _Layout) -> list[_ClassFolder]:
    """Find the class folders: those in the folders of splits, if there are any, sorted by split."""
    top, folders = "", layout.folders()
    while (
        len(folders) == 1
        and split_of(folders[0]) is None
        and not layout.beside
        and _holds_folders(layout.root / top / folders[0])
    ):
        # One folder around everything, as in archives.
        top += f"{folders[0]}/"
        folders = layout.folders(top.rstrip("/"))
    splits = splits_of(folders)
    others = [name for name in folders if name not in splits]
    is_plain = any(split_of(name) is not None for name in splits)
    if not splits or (
        (others or not is_plain)
        and not any(_holds_folders(layout.root / top / name) for name, part in splits.items() if part == TRAIN)
    ):
        return _splits_within_classes(layout, top, folders) or [
            _class_folder(TRAIN, name, top + name) for name in folders
        ]
    layout.others = [top + name for name in others]
    above = sorted(splits, key=splits.__getitem__)
    parts = [splits[name] for name in above]
    if parts[0] != TRAIN:
        raise DataError(f"{layout.root / top}: expected a folder train beside {listed(above)}, but received none.")
    if len(set(parts)) < len(parts):
        raise DataError(
            f"{layout.root / top}: expected one folder for each of {', '.join(SPLITS)}, but received {listed(above)}. "
            "Put those of one split together."
        )
    paths = [top + name for name in above]
    within = [layout.folders(path) for path in paths]
    while all(
        len(inside) == 1 and _holds_folders(layout.root / path / inside[0])
        for path, inside in zip(paths, within, strict=True)
    ):
        # One folder around the classes in each split, such as seg_train/seg_train or train/images.
        paths = [f"{path}/{inside[0]}" for path, inside in zip(paths, within, strict=True)]
        within = [layout.folders(path) for path in paths]
    return [
        _class_folder(part, name, f"{path}/{name}")
        for part, path, inside in zip(parts, paths, within, strict=True)
        for name in inside
    ]


def _splits_within_classes(layout: _Layout, top: str, folders: list[str]) -> list[_ClassFolder]:
    """Find the folders of splits within class folders, if all class folders contain only such folders."""
    found = []
    for name in folders:
        entries, _ = visible(layout.root / top / name)
        parts = [split_of(entry.name) if entry.is_dir() else None for entry in entries]
        if not parts or None in parts or TRAIN not in parts or len(set(parts)) < len(parts):
            return []
        found += [(part or TRAIN, name, entry.name) for part, entry in zip(parts, entries, strict=True)]
    found.sort(key=lambda one: (one[0], natural_key(one[1])))
    return [_class_folder(part, name, f"{top}{name}/{inside}") for part, name, inside in found]


def _class_folder(part: int, name: str, path: str) -> _ClassFolder:
    return _ClassFolder(part, printable(composed(name)), path)


def _holds_folders(folder: Path) -> bool:
    """Return whether a folder contains class folders instead of images."""
    entries, _ = visible(folder)
    return any(entry.is_dir() for entry in entries) and not any(
        extension(entry.name) in EXTENSIONS for entry in entries
    )


def _names(paths: list[str]) -> list[str]:
    """Make paths printable; nearly all already are."""
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        return [printable(path) for path in paths]
    return paths


def _notes(layout: _Layout, folders: list[_ClassFolder], found: Found) -> Iterator[str]:
    """Describe omitted files and possible errors."""
    empty = [folder.path for folder, images in zip(folders, found.images, strict=True) if not images]
    for what, names in (
        ("class folders without images", empty),
        ("images beside the class folders", sorted(layout.beside, key=natural_key)),
        ("folders beside those of the splits", layout.others),
        ("links to what is listed already", found.seen_again),
        ("links that lead nowhere", found.dead_links),
    ):
        if names:
            yield f"Left out {len(names):,} {what}: {listed(map(printable, names))}."
    if counted := _counted(found.left_out):
        yield f"Left out what is no image: {listed(counted, shown=10)}."
    if same := _same_in_all(found.images):
        yield (
            f"All images lie in the folders {listed(same)} of each class. If {listed(f.title for f in folders)} are no "
            "classes but splits, call them train, val and test."
        )


def _counted(left_out: Counter[str]) -> list[str]:
    """Count the files by extension, the most frequent first."""
    return [f"{count:,} {kind}" for kind, count in sorted(left_out.items(), key=lambda kind: (-kind[1], kind)) if count]


def _same_in_all(images: list[list[str]]) -> list[str]:
    """List the sub-folders that contain all images of every class, if they are the same in each class."""
    below = [{path.split("/")[1] if path.count("/") == 2 else "" for path in paths} for paths in images]
    is_alike = len(below[0]) > 1 and "" not in below[0] and all(names == below[0] for names in below)
    return sorted(below[0], key=natural_key) if is_alike else []
