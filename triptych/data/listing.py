"""A listing of labelled images before decoding, the common first step for all sources."""

import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, overload

from triptych.data.pixels.opening import Source

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)

SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "trn": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "tst": TEST,
}
"""Spellings of the splits in folders and tables, in any case, optionally followed by set, split, data or images."""


@dataclass(frozen=True, eq=False)
class Listing:
    """Labelled images, in a stable order.

    Attributes:
        sources: The images' files or encoded bytes, (N,), read on access, fastest in order; or the pixels, uint8
            (N, C, H, W), for a data set that stores them.
        labels: int64 positions in the class table, (N,).
        classes: The class names; every class has training images.
        split: int8 positions in `SPLITS`, (N,). Images without a given split are in training; `complete_splits` takes
            missing splits from there.
        origin: Source of the images, to complete the sentence "The images were ...".
        names: Names of the images in messages, (N,): the path relative to the folder, with slashes, or the row; None if
            they have no names.
        groups: Names of groups that must not be spread over several splits, (N,), None for an image without a group; or
            None if there are no groups.
        notes: Omitted images and warnings, in sentences.
    """

    sources: "Sequence[Source] | Tensor"
    labels: "Tensor"
    classes: tuple[str, ...]
    split: "Tensor"
    origin: str
    names: Sequence[str] | None = None
    groups: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def encoded(self) -> Sequence[Source]:
        """The files or bytes of encoded images."""
        assert isinstance(self.sources, Sequence), "these images have been decoded"
        return self.sources

    def name(self, place: int) -> str:
        """Return the name of an image in messages."""
        if self.names is not None:
            return self.names[place]
        part = self.split[place]
        return f"{SPLITS[int(part)]} image {int((self.split[:place] == part).sum()):,}"


class LazySources(Sequence[Source]):
    """Images that are found or read on access: millions of `Path` or `bytes` objects would fill the memory."""

    @abstractmethod
    def at(self, place: int) -> Source:
        """Return the image at a position, from 0."""

    def identity(self) -> Iterable[str | Path] | None:
        """Return strings and files that identify the images, as long as the files do not change.

        None if only the images themselves identify them.
        """
        return None

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> list[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | list[Source]:
        places = range(len(self))[index]
        return self.at(places) if isinstance(places, int) else [self.at(place) for place in places]


class Files(LazySources):
    """Paths relative to a folder, or absolute.

    Example:
        >>> [file.as_posix() for file in Files(Path("photos"), ["cat/1.jpg", "/other/2.jpg"])]
        ['photos/cat/1.jpg', '/other/2.jpg']
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self.root = root
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def at(self, place: int) -> Path:
        """Return a path."""
        return self.root / self._paths[place]

    def identity(self) -> Iterable[Path]:
        """Return all files."""
        return (self.root / path for path in self._paths)


class Joined(LazySources):
    """Several concatenated sequences of images.

    Example:
        >>> Joined([[b"1", b"2"], [], [b"3"]])[1:]
        [b'2', b'3']
    """

    def __init__(self, parts: Sequence[Sequence[Source]]) -> None:
        self._parts = parts
        self._firsts = list(accumulate(map(len, parts), initial=0))

    def __len__(self) -> int:
        return self._firsts[-1]

    def identity(self) -> Iterable[str | Path] | None:
        """Return the identities of all parts, unless a part has none."""
        parts = [part.identity() if isinstance(part, LazySources) else None for part in self._parts]
        return None if None in parts else chain.from_iterable(part for part in parts if part is not None)

    def at(self, place: int) -> Source:
        """Return the image at a position in the concatenation."""
        number = bisect_right(self._firsts, place) - 1
        return self._parts[number][place - self._firsts[number]]


def split_of(name: str) -> int | None:
    """Return the position in `SPLITS` of the split that a folder name or a value refers to, or None.

    Example:
        >>> [split_of(name) for name in ("Training", "test_set", "VAL", "trainer")]
        [0, 2, 1, None]
    """
    plain = name.strip().lower()
    return SPLIT_NAMES.get(plain, SPLIT_NAMES.get(re.sub(r"[ _-]*(set|split|data|images)\Z", "", plain)))


def splits_of(names: Sequence[str]) -> dict[str, int]:
    """Find the splits among sibling folders by their names.

    If no name is that of a split, the function accepts names that differ only in the name of a split and in digits, if
    there are several and train is one of them.

    Returns:
        Positions in `SPLITS`.

    Example:
        >>> splits_of(["seg_train", "seg_test", "seg_pred"]), splits_of(["train2017", "val2017"])
        ({'seg_train': 0, 'seg_test': 2}, {'train2017': 0, 'val2017': 1})
        >>> splits_of(["cat", "bullet_train"])
        {}
    """
    plain = {name: part for name in names if (part := split_of(name)) is not None}
    if plain:
        return plain
    alike: dict[tuple[str, ...], dict[str, int]] = {}
    for name in names:
        words = re.findall(r"[^\W\d_]+", name.lower())
        for place, word in enumerate(words):
            if word in SPLIT_NAMES:
                alike.setdefault((*words[:place], "", *words[place + 1 :]), {})[name] = SPLIT_NAMES[word]
    return next((found for found in alike.values() if len(found) > 1 and TRAIN in found.values()), {})


def printable(name: str) -> str:
    """Escape invalid bytes of a file name, so that messages can be printed and saved."""
    return name.encode(errors="backslashreplace").decode()


def listed(names: Iterable[str], *, shown: int = 5) -> str:
    """List the first few names.

    Example:
        >>> listed("abcd", shown=2)
        'a, b and 2 more'
    """
    every = list(names)
    more = f" and {len(every) - shown:,} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more
