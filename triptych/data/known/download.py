"""Downloads a data file from the first mirror that gives it with the right checksum."""

import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path

import torch
from filelock import FileLock

from triptych.errors import DownloadError
from triptych.files import DISK_FULL


def download(name: str, *, md5: str, mirrors: Sequence[str], folder: Path, timeout: float = 30.0) -> Path:
    """Fetch a file into a folder, unless it is there already.

    Only a file with the right checksum gets its name. Processes that want the same file wait for each other.

    Args:
        name: The last part of its address, and its name on disk.
        md5: The checksum that its publisher names, in hexadecimal.
        mirrors: Addresses that end in a slash, tried in turn.
        folder: Where to put it; made when missing.
        timeout: Seconds without an answer after which a mirror is given up.

    Returns:
        The path of the file.

    Raises:
        DownloadError: No mirror gave the file, with each one's reason; or it cannot be written.
    """
    target = folder / name
    if target.is_file():
        return target
    reasons = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):
            for mirror in () if target.is_file() else mirrors:
                if not (reason := _fetch(mirror + name, target, md5, timeout)):
                    return target
                reasons.append(f"\n  {mirror}{name}: {reason}")
            if target.is_file():
                return target
    except (OSError, NotImplementedError) as error:  # trouble with a mirror is a reason: see _fetch
        raise DownloadError(
            f"{target}: cannot be written ({getattr(error, 'strerror', None) or error}). Free some space or fix the "
            "folder's permissions, then start again."
        ) from error
    raise DownloadError(f"{name}: none of {len(mirrors)} mirrors gave the file." + "".join(reasons))


def _fetch(url: str, target: Path, md5: str, timeout: float) -> str:
    """Try one mirror; return the reason why it did not give the file, or nothing."""
    sys.stderr.write(f"Downloading {url}\n")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
        part = Path(folder) / target.name
        try:
            with _patience(timeout):
                torch.hub.download_url_to_file(url, str(part), progress=sys.stderr.isatty())
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in DISK_FULL:
                raise
            reason = getattr(error, "reason", None) or error  # an HTTPError has words of its own
            return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        with part.open("rb+") as stream:
            received = hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
            os.fsync(stream.fileno())
        if received != md5:
            return f"sent {_kind(part)} of another checksum (MD5 {received}, expected {md5})"
        part.replace(target)
    return ""


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """End connections that are silent for some time; urllib alone would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _kind(path: Path) -> str:
    """Distinguish a web page, which some servers send in place of an error, from other wrong bytes."""
    with path.open("rb") as stream:
        return "a web page" if stream.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html")) else "a file"
