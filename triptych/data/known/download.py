"""Downloads a data file from the first mirror that returns it with the correct checksum."""

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
    """Download a file to a folder, unless it exists.

    Only a file with the correct checksum gets its name. Processes that need the same file wait for each other.

    Args:
        name: The last part of its URL, and its file name on disk.
        md5: The published checksum, in hexadecimal.
        mirrors: URLs that end in a slash, tried in order.
        folder: The target folder; created if missing.
        timeout: Seconds without a response after which the next mirror is tried.

    Returns:
        The path of the file.

    Raises:
        DownloadError: No mirror returned the file, with the reason of each; or it cannot be written.
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
    except (OSError, NotImplementedError) as error:  # errors of a mirror are returned as a reason: see _fetch
        raise DownloadError(
            f"{target}: cannot be written ({getattr(error, 'strerror', None) or error}). Free some space or fix the "
            "folder's permissions, then start again."
        ) from error
    raise DownloadError(f"{name}: none of {len(mirrors)} mirrors gave the file." + "".join(reasons))


def _fetch(url: str, target: Path, md5: str, timeout: float) -> str:
    """Try one mirror; return the reason for a failure, or an empty string."""
    sys.stderr.write(f"Downloading {url}\n")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
        part = Path(folder) / target.name
        try:
            with _patience(timeout):
                torch.hub.download_url_to_file(url, str(part), progress=sys.stderr.isatty())
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in DISK_FULL:
                raise
            reason = getattr(error, "reason", None) or error  # an HTTPError has its own message
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
    """Close connections without data for some time; urllib alone would wait indefinitely."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _kind(path: Path) -> str:
    """Distinguish a web page, which some servers send instead of an error, from other unexpected bytes."""
    with path.open("rb") as stream:
        return "a web page" if stream.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html")) else "a file"
