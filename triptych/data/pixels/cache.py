"""The image cache: every image decoded once, to one size, into a file of raw pixels that later runs map into memory.

An entry is named after the content of the images and how they were brought to one size: renamed, copied and touched
files find it again, and changed ones do not. So that not all files are read at every start, a record remembers which
entry belongs to files of these resolved paths, inodes, sizes and times of change. Of several processes that want an
entry at once, one decodes and the others wait.
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
"""Of what decoding makes of a file: with another one, everything is decoded again."""

AT_ONCE = 512
"""Images that are on their way through the threads at a time."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many images (or blocks) are through, and how many there are."""


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """All images of a listing, in its order.

    Attributes:
        images: (N, C, H, W) uint8, in memory or mapped from the disk; black where an image was rejected.
        rejected: The reasons why images cannot be decoded, by their position.
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
    """Return the images from the cache, and decode them where they are not there yet.

    What is wrong with the content of a file is remembered. What depends on circumstances (permissions, a missing file,
    memory) is tried again every time. An entry that is damaged counts as missing.

    Args:
        sources: Files or encoded bytes, (N,), N at least 1.
        form: What to bring them to.
        origin: Where they come from, for `cache_entries`.
        cache: The folder of the cache.
        threads: That read and decode.
        progress: Called as the work proceeds.

    Raises:
        OSError: The folder cannot be written, or the disk is full; nothing half-written is left.
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
    with suppress(OSError):  # such as a cache of somebody else that may only be read
        os.utime(cache / key / DESCRIPTION)
    rejected = {int(place): reason for place, reason in found.rejected.items()}
    content = hashlib.blake2b("".join(found.digests).encode(), digest_size=16).hexdigest()
    return DecodedImages(MappedImages(map_pixels(cache / key / PIXELS, shape=form.shape), content=content), rejected)


class _Work:
    """Threads, and the progress of what they do."""

    def __init__(self, executor: ThreadPoolExecutor, progress: Progress) -> None:
        self._executor = executor
        self._progress = progress

    def steps(self, doing: str, step: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Take all items through a step, a part of them at a time, so that memory stays bounded."""
        count = len(items)
        for start in range(0, count, AT_ONCE):
            self._progress(doing, start, count)
            part = [items[place] for place in range(start, min(start + AT_ONCE, count))]
            yield from self._executor.map(step, part)
        self._progress(doing, count, count)


def _whole(folder: Path, form: Form, count: int, work: _Work) -> Description | None:
    """Read an entry, if it is there with the pixels that were written."""
    described = read_entry(folder, form=form, count=count)
    if described and has_its_pixels(
        folder, described, lambda digest, blocks: work.steps("checking", digest, range(blocks))
    ):
        return described
    return None


def _still_rejected(found: Description, sources: Sequence[Source], form: Form) -> bool:
    """Try again what circumstances have kept from being decoded."""
    again = (_decoded(sources[place], form) for place in found.passing)
    return all(isinstance(image, Rejection) and image.passes for image in again)


def _record(sources: Sequence[Source], form: Form, cache: Path) -> Path | None:
    """Name the file that remembers the entry of images whose files have not changed; None where nothing shows that."""
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
    """Read which entry belongs to a record: its name, and nothing else."""
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
    """Return a digest of an image's encoded bytes; of a file that cannot be read, of the reason."""
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).digest()
    try:
        if not source.is_file():
            return b"none"  # a pipe would be waited for
        with source.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        return repr(error.errno).encode()


def _decoded(source: Source, form: Form) -> bytes | Rejection:
    """Return the raw pixels of an image, channel by channel, or the reason why there are none."""
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
