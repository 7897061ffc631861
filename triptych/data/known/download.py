"""Downloads a data file from the first mirror that has it whole: resumed, checked, and renamed when complete."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from triptych.errors import DownloadError

ATTEMPTS = 5
"""Times that one mirror is asked, each time for the rest of the file."""
BLOCK = 1 << 18

Show = Callable[[int, int | None], None]
"""Told the bytes that are here and, where the server says it, the bytes of the whole file."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that every mirror has under the same name.

    Attributes:
        name: The last part of its address, and its name on disk.
        md5: The checksum that its publisher names, in hexadecimal.
    """

    name: str
    md5: str


def download(file: RemoteFile, *, mirrors: Sequence[str], folder: Path, timeout: float = 30.0) -> Path:
    """Fetch a file into a folder, unless it is there already.

    What has arrived is kept in `<name>.part` and resumed: after a cut connection, on the next mirror, or in the next
    run. Only a file with the right checksum gets its name. Processes that want the same file wait for each other.

    Args:
        file: What to fetch.
        mirrors: Addresses that end in a slash, tried in turn.
        folder: Where to put it; made when missing.
        timeout: Seconds of silence after which a mirror is given up.

    Returns:
        The path of the file.

    Raises:
        DownloadError: No mirror gave the file, with each one's reason; or it cannot be written.
    """
    target = folder / file.name
    try:
        if target.is_file():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock"):
            return target if target.is_file() else _from_mirrors(file, mirrors, target, timeout)
    except (OSError, NotImplementedError) as error:  # trouble with a mirror never comes here: see _MirrorError
        raise DownloadError(
            f"{target}: cannot be written ({getattr(error, 'strerror', None) or error}). Free some space or mend the "
            "folder's permissions and start again: what has arrived is kept."
        ) from error


class _MirrorError(Exception):
    """Why a mirror was given up, in words."""


class _Answer(NamedTuple):
    """How a request ended: the validator of the content that was sent, and what cut it off, if anything did."""

    validator: str | None
    cut: str | None


def _from_mirrors(file: RemoteFile, mirrors: Sequence[str], target: Path, timeout: float) -> Path:
    """Ask one mirror after the other."""
    part = target.with_name(f"{file.name}.part")
    reasons = []
    for mirror in mirrors:
        url = mirror + file.name
        try:
            with _progress(url) as show:
                _fetch(url, part, file.md5, timeout, show)
        except _MirrorError as failure:
            reasons.append(f"\n  {url}: {failure}")
        else:
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            return part.replace(target)
    raise DownloadError(f"{file.name}: none of {len(mirrors)} mirrors gave the file." + "".join(reasons))


def _fetch(url: str, part: Path, md5: str, timeout: float, show: Show) -> None:
    """Ask one mirror until `part` has the right checksum."""
    answer = _Answer(None, None)
    reason = ""
    for _ in range(ATTEMPTS):
        resumed = _size(part) > 0
        answer = _request(url, part, answer.validator, timeout, show)
        came = _md5(part)
        if came == md5:
            return
        if answer.cut:  # what came is kept: the next request is for the rest
            reason = answer.cut
            continue
        reason = f"sent {_kind(part)} of another checksum (MD5 {came}, expected {md5})"
        part.unlink()
        if not resumed:
            break
        # The wrong bytes may be those that were kept from before: once more, from the start.
    raise _MirrorError(reason)


def _request(url: str, part: Path, validator: str | None, timeout: float, show: Show) -> _Answer:
    """Make one request for what is missing and append what comes to `part`."""
    here = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "triptych"})  # noqa: S310  # from our own table
    if here:
        request.add_header("Range", f"bytes={here}-")
        if validator:
            request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310  # likewise
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and here:  # nothing is missing, or too much is here: the checksum tells
            return _Answer(None, None)
        raise _MirrorError(f"answered HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _MirrorError(f"could not be reached ({getattr(error, 'reason', error)})") from error
    with response:
        if response.status != 206:
            here = 0  # the server sends the whole file: it knows no ranges, or the file has changed
        whole = None if response.length is None else here + response.length
        with part.open("ab" if here else "wb") as stream:
            while block := _read(response, timeout):
                stream.write(block)
                stream.flush()  # so that not even a killed process loses it
                here += len(block)
                show(here, whole)
        cut = block is None or (whole is not None and here < whole)
        after = f"cut the connection after {here:,} bytes" + ("" if whole is None else f" of {whole:,}")
        return _Answer(_validator(response), after if cut else None)


def _read(response: HTTPResponse, timeout: float) -> bytes | None:
    """Wait for the next bytes: none at the end, None where the connection is cut."""
    try:
        return response.read1(BLOCK)
    except TimeoutError as error:
        raise _MirrorError(f"fell silent for {timeout:g} seconds") from error
    except (OSError, HTTPException):
        return None


def _validator(response: HTTPResponse) -> str | None:
    """Name the version of the content, for If-Range, which takes no weak tags."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _kind(path: Path) -> str:
    """Tell a web page, which some servers send in place of an error, from other wrong bytes."""
    with path.open("rb") as stream:
        return "a web page" if stream.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html")) else "a file"


@contextmanager
def _progress(url: str) -> Iterator[Show]:
    """Say on stderr what is fetched; on a terminal, show a bar as well."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    console.print(f"Downloading {url}", highlight=False, markup=False, soft_wrap=True)
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(url, total=None)
        yield lambda here, whole: progress.update(task, completed=here, total=whole)
