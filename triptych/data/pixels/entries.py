"""Entries of the image cache on disk: written atomically, validated when read, listed and removed."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from triptych.data.pixels.converting import WHITE, Colour
from triptych.data.pixels.mapped import Shape
from triptych.data.pixels.resizing import Fit
from triptych.files import read_start, replacing

PIXELS, DESCRIPTION = "pixels", "entry.json"
"""The files of an entry."""

BLOCK = 1 << 24
"""Number of bytes of pixels per digest."""

LARGEST = 1 << 30
"""Maximum size of a description in bytes."""

Count = Annotated[int, Field(ge=0)]
EachBlock: TypeAlias = Callable[[Callable[[int], str], int], Iterable[str]]
"""Maps a function over the numbers of all blocks, in order."""


@dataclass(frozen=True)
class Form:
    """Target format of images.

    Attributes:
        shape: Channels, height and width.
        fit: Method to fit images with another aspect ratio.
        white: The 16-bit value that maps to white.
        background: The colour behind transparent pixels.
    """

    shape: Shape
    fit: Fit
    white: int = 65535
    background: Colour = WHITE


class Rejection(NamedTuple):
    """Why an image was rejected."""

    reason: str
    """The end of a sentence that begins with "The image"."""
    passes: bool
    """Whether the error is transient, such as permissions, and not due to the content of the file."""


class Description(BaseModel):
    """The content of an entry's `entry.json`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    origin: str
    images: Annotated[int, Field(ge=1)]
    form: dict[str, object]
    rejected: dict[Annotated[str, Field(pattern="^[0-9]+$")], str]
    passing: list[Count]
    """Positions of images that were rejected because of transient errors."""
    digests: list[str]
    """BLAKE2b digests of the blocks of pixels."""


@dataclass(frozen=True)
class Entry:
    """An entry of the cache, for display.

    Attributes:
        folder: Its folder.
        origin: Source of its images.
        images: Number of images.
        form: Their format; None for a damaged entry.
        rejected: Number of images that could not be decoded.
        size: Size in bytes.
        used: Time of last use, in seconds since 1970.
    """

    folder: Path
    origin: str
    images: int
    form: Form | None
    rejected: int
    size: int
    used: float


def read_entry(folder: Path, *, form: Form, count: int) -> Description | None:
    """Return the description of a complete entry; None if it is missing, damaged or does not match."""
    try:
        size = (folder / PIXELS).stat().st_size
        described = Description.model_validate_json(read_start(folder / DESCRIPTION, LARGEST))
    except (OSError, ValueError):
        return None
    is_whole = (
        (described.images, size, described.form) == (count, count * prod(form.shape), json.loads(_text(form)))
        and len(described.digests) == -(-size // BLOCK)
        and all(place < count for place in (*map(int, described.rejected), *described.passing))
        and set(map(str, described.passing)) <= set(described.rejected)
    )
    return described if is_whole else None


def has_its_pixels(folder: Path, described: Description, each: EachBlock) -> bool:
    """Compare the pixels with the stored digests."""
    try:
        found = list(each(partial(_digest_of_block, folder / PIXELS), len(described.digests)))
    except OSError:
        return False
    return found == described.digests


def write_entry(
    folder: Path, images: Iterable[bytes | Rejection], *, form: Form, count: int, origin: str
) -> Description:
    """Write an entry to a temporary folder, and rename it when complete.

    Raises:
        OSError: The folder is not writable, or the disk is full; partial files are removed.
    """
    partly = folder.with_name(f".{folder.name}.part")
    for leftover in (partly, folder):  # left by a killed process, or a damaged entry
        shutil.rmtree(leftover, ignore_errors=True)
    partly.mkdir()
    rejected: dict[int, Rejection] = {}
    black = bytes(prod(form.shape))
    digests = _Digests()
    try:
        with replacing(partly / PIXELS) as temporary, temporary.open("wb") as file:
            for place, image in enumerate(images):
                if isinstance(image, Rejection):
                    rejected[place] = image
                pixels = black if isinstance(image, Rejection) else image
                file.write(pixels)
                digests.add(pixels)
        described = Description(
            origin=origin,
            images=count,
            form=json.loads(_text(form)),
            rejected={str(place): rejection.reason for place, rejection in rejected.items()},
            passing=[place for place, rejection in rejected.items() if rejection.passes],
            digests=digests.finished(),
        )
        with replacing(partly / DESCRIPTION) as temporary:
            temporary.write_text(described.model_dump_json())
        partly.rename(folder)
    except BaseException:
        shutil.rmtree(partly, ignore_errors=True)
        raise
    return described


def cache_entries(cache: Path) -> list[Entry]:
    """List the entries of the cache, last used first, including damaged ones, so that they can be removed."""
    if not cache.is_dir():
        return []
    entries = [_entry(folder) for folder in cache.iterdir() if re.fullmatch("[0-9a-f]{32}", folder.name)]
    return sorted(entries, key=lambda entry: entry.used, reverse=True)


def remove_entry(entry: Entry) -> None:
    """Remove an entry from the cache; a run that has it open can continue (on Windows the entry stays)."""
    # Renamed first: a partly removed entry must not look like an entry.
    leaving = entry.folder.with_name(f".{entry.folder.name}.removed")
    entry.folder.rename(leaving)
    if leaving.is_symlink():
        leaving.unlink()
    else:
        shutil.rmtree(leaving)


def remove_leftovers(cache: Path) -> None:
    """Remove partial files of killed processes, but not files that are being written."""
    for partly in cache.glob(".*.part"):
        lock = FileLock(cache / f"{partly.name[1:].removesuffix('.part')}.lock")
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(partly, ignore_errors=True)
        except Timeout:
            continue
    for leaving in cache.glob(".*.removed"):
        shutil.rmtree(leaving, ignore_errors=True)


def _entry(folder: Path) -> Entry:
    files = [file.stat() for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    size, used = sum(file.st_size for file in files), max((file.st_mtime for file in files), default=0.0)
    try:
        description = folder / DESCRIPTION
        described = Description.model_validate_json(read_start(description, LARGEST))
        shape, fit, white, background = (described.form[key] for key in ("shape", "fit", "white", "background"))
        form = Form(tuple(shape), fit, white, tuple(background))  # type: ignore[arg-type]  # for display
        used = description.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return Entry(folder, "damaged", 0, None, 0, size, used)
    return Entry(folder, described.origin, described.images, form, len(described.rejected), size, used)


def _text(form: Form) -> str:
    return json.dumps(asdict(form))


class _Digests:
    """Digests of the blocks of a stream that is written in pieces."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._begun, self._room = hashlib.blake2b(digest_size=16), BLOCK

    def add(self, content: bytes) -> None:
        rest = memoryview(content)
        while len(rest) >= self._room:
            self._begun.update(rest[: self._room])
            self._found.append(self._begun.hexdigest())
            rest = rest[self._room :]
            self._begun, self._room = hashlib.blake2b(digest_size=16), BLOCK
        self._begun.update(rest)
        self._room -= len(rest)

    def finished(self) -> list[str]:
        return self._found if self._room == BLOCK else [*self._found, self._begun.hexdigest()]


def _digest_of_block(file: Path, number: int) -> str:
    with file.open("rb") as stream:
        stream.seek(number * BLOCK)
        return hashlib.blake2b(stream.read(BLOCK), digest_size=16).hexdigest()
