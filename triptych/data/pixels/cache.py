"""The image cache: images are decoded once, to one size, into a file of raw pixels that later runs memory-map.

An entry is named by a hash of the images' content and of the preprocessing: renamed, copied and touched files match the
entry, changed files do not. To avoid reading all files at every start, a record maps resolved paths, inodes, sizes and
modification times of the files to their entry. If several processes need an entry at the same time, one decodes and the
others wait.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from triptych.data.listing import LazySources
from triptych.data.pixels.entries import (
    DESCRIPTION,
    PIXELS,
    Description,
    Form,
    Rejection,
    has_its_pixels,
    read_entry,
    write_entry,
)
from triptych.data.pixels.mapped import Images, MappedImages, map_pixels
from triptych.data.pixels.opening import Source, UndecodableImage, UnreadableImage
from triptych.data.pixels.resizing import decode_and_fit
from triptych.files import replacing

VERSION = 2
"""Version of the decoding: a change invalidates all entries."""

AT_ONCE = 512
"""Number of images that the threads process at a time."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Called with the current task, the number of finished images (or blocks), and their total."""


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """All images of a listing, in its order.

    Attributes:
        images: (N, C, H, W) uint8, in memory or memory-mapped; rejected images are black.
        rejected: The reasons for rejected images, by position.
    """

    images: Images
    rejected: dict[int, str]


def decode_once(
    sources: Sequence[Source],
    form: Form,
    *,
    origin: str,
    cache: Path,
    threads: int = 1,
    progress: Progress | None = None,
) -> DecodedImages:
    """Return the images from the cache, after decoding them if necessary.

    Errors in the content of a file are cached. Transient errors (permissions, a missing file, memory) are retried every
    time. A damaged entry counts as missing.

    Args:
        sources: Files or encoded bytes, (N,), N at least 1.
        form: The target format.
        origin: Source of the images, for `cache_entries`.
        cache: The folder of the cache.
        threads: Number of threads that read and decode.
        progress: Called as the work proceeds.

    Raises:
        OSError: The folder is not writable, or the disk is full; partial files are removed.
    """
    with ThreadPoolExecutor(max(1, threads)) as executor:
        work = _Work(executor, progress or (lambda *_: None))
        record = _record(sources, form, cache)
        key = _recorded(record)
        found = _whole(cache / key, form, len(sources), work) if key else None
        if key is None or found is None:
            key = _content_key(sources, form, work.steps("reading", _digest, sources))
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(cache / f"{key}.lock"):
                found = _whole(cache / key, form, len(sources), work)
                if found is None or not _still_rejected(found, sources, form):
                    decoded = work.steps("decoding", lambda source: _decoded(source, form), sources)
                    found = write_entry(cache / key, decoded, form=form, count=len(sources), origin=origin)
            if record is not None and not found.passing:
                with replacing(record) as temporary:
                    temporary.write_text(key)
    with suppress(OSError):  # such as another user's read-only cache
        os.utime(cache / key / DESCRIPTION)
    rejected = {int(place): reason for place, reason in found.rejected.items()}
    content = hashlib.blake2b("".join(found.digests).encode(), digest_size=16).hexdigest()
    return DecodedImages(MappedImages(map_pixels(cache / key / PIXELS, shape=form.shape), content=content), rejected)


class _Work:
    """Threads and their progress."""

    def __init__(self, executor: ThreadPoolExecutor, progress: Progress) -> None:
        self._executor = executor
        self._progress = progress

    def steps(self, doing: str, step: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a step to all items, a part of them at a time, to bound memory."""
        count = len(items)
        for start in range(0, count, AT_ONCE):
            self._progress(doing, start, count)
            part = [items[place] for place in range(start, min(start + AT_ONCE, count))]
            yield from self._executor.map(step, part)
        self._progress(doing, count, count)


def _whole(folder: Path, form: Form, count: int, work: _Work) -> Description | None:
    """Read an entry, if it exists and its pixels are intact."""
    described = read_entry(folder, form=form, count=count)
    if described and has_its_pixels(
        folder, described, lambda digest, blocks: work.steps("checking", digest, range(blocks))
    ):
        return described
    return None


def _still_rejected(found: Description, sources: Sequence[Source], form: Form) -> bool:
    """Retry images that were rejected because of transient errors."""
    again = (_decoded(sources[place], form) for place in found.passing)
    return all(isinstance(image, Rejection) and image.passes for image in again)


def _record(sources: Sequence[Source], form: Form, cache: Path) -> Path | None:
    """Return the record file of images, by their files' identity; None if they have none."""
    identity: Iterable[str | Path] | None
    if isinstance(sources, LazySources):
        identity = sources.identity()
    else:
        identity = None if any(isinstance(source, bytes) for source in sources) else sources  # type: ignore[assignment]
    if identity is None:
        return None
    digest = hashlib.blake2b(repr((VERSION, form, len(sources))).encode(), digest_size=16)
    resolved = remembered(os.path.realpath)
    for one in identity:
        if isinstance(one, Path):
            try:
                found = one.stat()
            except OSError:
                return None
            state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            digest.update(f"{resolved(one.parent)}/{one.name}\0{state}\n".encode(errors="surrogateescape"))
        else:
            digest.update(f"{one}\n".encode())
    return cache / "known" / digest.hexdigest()


def _recorded(record: Path | None) -> str | None:
    """Read the name of a record's entry."""
    try:
        key = record.read_text() if record else ""
    except (OSError, UnicodeDecodeError):
        return None
    return key if re.fullmatch("[0-9a-f]{32}", key) else None


def _content_key(sources: Sequence[Source], form: Form, digests: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(repr((VERSION, form, len(sources))).encode(), digest_size=16)
    for one in digests:
        digest.update(one)
    return digest.hexdigest()


def _digest(source: Source) -> bytes:
    """Return a digest of an image's encoded bytes, or of the reason if the file cannot be read."""
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).digest()
    try:
        if not source.is_file():
            return b"none"  # reading a pipe would block
        with source.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        return repr(error.errno).encode()


def _decoded(source: Source, form: Form) -> bytes | Rejection:
    """Return the raw pixels of an image, channel by channel, or the reason for its rejection."""
    channels, height, width = form.shape
    try:
        pixels = decode_and_fit(
            source,
            size=(height, width),
            how=form.fit,
            channels=channels,
            background=form.background,
            white=form.white,
        )
    except UndecodableImage as error:
        return Rejection(error.reason, passes=isinstance(error, UnreadableImage))
    return pixels.transpose(2, 0, 1).tobytes()
