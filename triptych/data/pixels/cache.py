"""The image cache: every image decoded once, to one size, into a file of raw pixels that later runs map into memory.

An entry is a folder named after the content of the images and how they were brought to one size: renamed, copied and
touched files find it again, and changed ones do not. It is written beside its place and renamed when complete; of
several processes that want it at once, one decodes and the others wait.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from triptych.data.pixels.mapped import Images, MappedImages, Shape, map_pixels
from triptych.data.pixels.opening import Source, UndecodableImage
from triptych.data.pixels.resizing import Fit, decode_and_fit
from triptych.files import replacing

VERSION = 1
"""Of what decoding makes of a file: with another one, everything is decoded again."""

AT_ONCE = 512
"""Images that are on their way through the threads at a time."""

PIXELS, DESCRIPTION = "pixels", "entry.json"
"""The files of an entry."""

Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many images are through, and how many there are."""


@dataclass(frozen=True)
class Form:
    """What images are brought to.

    Attributes:
        shape: Channels, height and width.
        fit: How an image of other proportions fills the size.
    """

    shape: Shape
    fit: Fit


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """All images of a listing, in its order.

    Attributes:
        images: (N, C, H, W) uint8, in memory or mapped from the disk; black where an image was refused.
        refused: The reasons why images cannot be decoded, by their position.
    """

    images: Images
    refused: dict[int, str]


@dataclass(frozen=True)
class Entry:
    """An entry of the cache, for people.

    Attributes:
        folder: Where it lies.
        origin: Where its images came from.
        images: How many they are.
        form: What they were brought to.
        refused: How many of them could not be decoded.
        size: In bytes.
        used: When it was last asked for, in seconds since 1970.
    """

    folder: Path
    origin: str
    images: int
    form: Form
    refused: int
    size: int
    used: float


def decode_once(
    sources: Sequence[Source],
    form: Form,
    *,
    origin: str,
    cache: Path,
    threads: int = 1,
    progress: Progress | None = None,
) -> DecodedImages:
    """Return the images from the cache, and decode them where they are not there yet.

    Args:
        sources: Files or encoded bytes, (N,), N at least 1.
        form: What to bring them to.
        origin: Where they come from, for `cache_entries`.
        cache: The folder of the cache.
        threads: That read and decode.
        progress: Told how far it is.

    Raises:
        OSError: The folder cannot be written, or the disk is full; nothing half-written is left.
    """
    told = progress or (lambda *_: None)
    with ThreadPoolExecutor(max(1, threads)) as executor:
        known = _known_by_times(sources, form, cache)
        key = _remembered(known)
        if key is None or not _is_whole(cache / key, len(sources), form):
            key = _content_key(sources, form, _steps(executor, "reading", _digest, sources, told))
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / f"{key}.lock"):
                if not _is_whole(cache / key, len(sources), form):
                    decoded = _steps(executor, "decoding", lambda source: _decoded(source, form), sources, told)
                    _write(cache / key, decoded, len(sources), form, origin)
            if known is not None:
                with replacing(known) as temporary:
                    temporary.write_text(key)
    description = cache / key / DESCRIPTION
    os.utime(description)
    refused = {int(position): reason for position, reason in json.loads(description.read_text())["refused"].items()}
    return DecodedImages(MappedImages(map_pixels(cache / key / PIXELS, shape=form.shape)), refused)


def cache_entries(cache: Path) -> list[Entry]:
    """List what the cache holds, the last used first."""
    entries = []
    for description in cache.glob(f"*/{DESCRIPTION}"):
        told = json.loads(description.read_text())
        entries.append(
            Entry(
                folder=description.parent,
                origin=told["origin"],
                images=told["images"],
                form=Form(tuple(told["shape"]), told["fit"]),
                refused=len(told["refused"]),
                size=sum(file.stat().st_size for file in description.parent.iterdir()),
                used=description.stat().st_mtime,
            )
        )
    return sorted(entries, key=lambda entry: entry.used, reverse=True)


def remove_entry(entry: Entry) -> None:
    """Take an entry out of the cache; a run that has it open goes on (but for Windows, where it stays)."""
    # Under another name first: what is half removed must not be taken for an entry.
    leaving = entry.folder.with_name(f".{entry.folder.name}.removed")
    entry.folder.rename(leaving)
    shutil.rmtree(leaving)


def remove_leftovers(cache: Path) -> None:
    """Remove what processes that were killed have left half-written; what is being written stays."""
    for partial in cache.glob(".*.part"):
        lock = FileLock(cache / f"{partial.name[1:].removesuffix('.part')}.lock")
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(partial, ignore_errors=True)
        except Timeout:
            continue
    for leaving in cache.glob(".*.removed"):
        shutil.rmtree(leaving, ignore_errors=True)


def _known_by_times(sources: Sequence[Source], form: Form, cache: Path) -> Path | None:
    """Name the file that remembers what was decoded of files of these names, sizes and times; None for bytes.

    It spares reading all files again to see that they are the same.
    """
    digest = hashlib.blake2b(repr((VERSION, form)).encode(), digest_size=16)
    for source in sources:
        if isinstance(source, bytes):
            return None
        try:
            found = source.stat()
        except OSError:
            return None
        digest.update(f"{source}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return cache / "known" / digest.hexdigest()


def _remembered(known: Path | None) -> str | None:
    try:
        return known.read_text() if known else None
    except FileNotFoundError:
        return None


def _content_key(sources: Sequence[Source], form: Form, digests: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(repr((VERSION, form, len(sources))).encode(), digest_size=16)
    for one in digests:
        digest.update(one)
    return digest.hexdigest()


def _digest(source: Source) -> bytes:
    """Return a digest of an image's encoded bytes; of what cannot be read, of nothing."""
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).digest()
    try:
        if not source.is_file():
            return b""  # a pipe would be waited for
        with source.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        return repr(error.errno).encode()


def _decoded(source: Source, form: Form) -> bytes | str:
    """Return the raw pixels of an image, channel by channel, or the reason why there are none."""
    channels, *size = form.shape
    try:
        pixels = decode_and_fit(source, size=(size[0], size[1]), how=form.fit, channels=channels)
    except UndecodableImage as error:
        return error.reason
    return pixels.transpose(2, 0, 1).tobytes()


def _steps(
    executor: ThreadPoolExecutor,
    doing: str,
    step: Callable[[Source], Result],
    sources: Sequence[Source],
    told: Progress,
) -> Iterator[Result]:
    """Take all sources through a step, a part of them at a time, so that memory stays bounded."""
    count = len(sources)
    for start in range(0, count, AT_ONCE):
        told(doing, start, count)
        yield from executor.map(step, [sources[position] for position in range(start, min(start + AT_ONCE, count))])
    told(doing, count, count)


def _is_whole(folder: Path, count: int, form: Form) -> bool:
    """Tell whether an entry is there, with all its pixels."""
    try:
        return (folder / PIXELS).stat().st_size == count * prod(form.shape) and (folder / DESCRIPTION).exists()
    except OSError:
        return False


def _write(folder: Path, images: Iterable[bytes | str], count: int, form: Form, origin: str) -> None:
    """Write an entry beside its place, and rename it when it is whole."""
    partial = folder.with_name(f".{folder.name}.part")
    for leftover in (partial, folder):  # of a process that was killed, or of somebody who removed a part
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    refused: dict[int, str] = {}
    black = bytes(prod(form.shape))
    try:
        with (partial / PIXELS).open("wb") as file:
            for position, image in enumerate(images):
                if isinstance(image, str):
                    refused[position] = image
                file.write(black if isinstance(image, str) else image)
            file.flush()
            os.fsync(file.fileno())
        described = {"origin": origin, "images": count, "shape": form.shape, "fit": form.fit, "refused": refused}
        (partial / DESCRIPTION).write_text(json.dumps(described))
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
