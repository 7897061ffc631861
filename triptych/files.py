"""Whole files or none: everything that Triptych writes goes to a temporary file first and is renamed when complete."""

import errno
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a disk, a quota or a file system that takes no more."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` in one step, on failure it is removed.

    The temporary file lies in the same folder, so that the rename never crosses file systems. It reaches the disk
    before the rename, and the rename itself before the function returns: after a crash or a power cut there is the old
    file or the new one, never a part, and what was reported as written is there.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (folder / "note.txt").read_text(), len(list(folder.iterdir()))
        ('whole', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".part{path.suffix}")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read_start(path: Path, most: int) -> bytes:
    """Read at most the first bytes of a regular file: a small file of unknown origin could be endless, or a pipe.

    Args:
        path: The file.
        most: Bytes to read; one more than a valid file has shows that it is too large.

    Raises:
        OSError: It cannot be opened or read.
        ValueError: It is not a regular file: reading from a pipe or a device may never end.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "note.txt"
        >>> _ = path.write_text("short")
        >>> read_start(path, 100), read_start(path, 2)
        (b'short', b'sh')
    """
    with open_regular(path) as file:
        return file.read(most)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing that a reader would wait for.

    Raises:
        OSError: It cannot be opened, or is a folder.
        ValueError: It is a pipe, a socket or a device.
    """
    # Opened without waiting for the other end of a pipe, and checked when open: no other file can take its place.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("expected a regular file; got a pipe, a socket or a device")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, which the caller closes


def remove_leftovers(folder: Path, *, of: str = "*") -> None:
    """Remove the temporary files of processes that were killed; call it only where no other process is writing.

    Args:
        folder: Where they were writing.
        of: The name of the file that they were writing; by default any.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".note.txt.x1y2.part.txt").write_text("of a killed process")
        >>> remove_leftovers(folder, of="note.txt")
        >>> list(folder.iterdir())
        []
    """
    pattern = ".*.part*" if of == "*" else f".{glob.escape(of)}.*.part*"
    for leftover in folder.glob(pattern):
        leftover.unlink(missing_ok=True)


def place_once(written: Path, path: Path) -> None:
    """Move a complete file to `path`, unless there is one already: of several processes the first one counts.

    A file system without hard links cannot decide it where two do so at the same instant: there the last one counts.
    """
    try:
        os.link(written, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            written.replace(path)
    written.unlink(missing_ok=True)


def name_again(file: Path, name: Path) -> None:
    """Give a file a second name, replacing what had it; a copy where the file system has no hard links."""
    with replacing(name) as temporary:
        temporary.unlink()
        _link_or_copy(file, temporary)


def point_to(file: Path, link: Path) -> None:
    """Make `link` lead to the `file` beside it, replacing what it was.

    It is a symbolic link where the file system has them, and a second name or a copy elsewhere.
    """
    with replacing(link) as temporary:
        temporary.unlink()
        try:
            temporary.symlink_to(file.name)
        except OSError:
            _link_or_copy(file, temporary)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can: Windows and some network file systems cannot."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link_or_copy(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def _umask() -> int:
    """Read the process's umask (there is no call that reads it without setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
