"""Process settings during training: denormal numbers are flushed to zero, and freed memory is reused."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""The options of glibc's `mallopt` (its malloc.h)."""
FREE_BYTES = 2**31 - 1
"""Maximum of freed memory at the end of the heap that the process keeps: the largest value that glibc accepts."""
USUAL_TRIM_THRESHOLD, USUAL_MMAP_THRESHOLD, USUAL_MMAP_MAX = 2**26, 2**25, 2**16
"""The value that glibc's automatic adjustment reaches in a process that has freed large blocks."""


@contextmanager
def tuned_process() -> Iterator[None]:
    """Flush denormals to zero and keep freed memory, until the block or the decorated function ends.

    Denormal numbers, below about 1e-38, are far below rounding errors, and come from the tails of activations. On a
    processor that handles them in microcode, a training step takes up to twice as long if one gradient in a hundred is
    denormal. Threads inherit the setting of the thread that started them: threads that PyTorch started earlier keep
    theirs. On a GPU denormal numbers have no cost.

    The activations of a step are tens of megabytes each. By default glibc returns such memory to the system as soon as
    it is freed, and the system clears each page before it is allocated again: 7 % of the processor time of a step of
    configs/cifar10.yaml, and up to 14 % of the time on a machine under load. With another C library nothing changes.
    """
    torch.set_flush_denormal(True)
    _set_allocator(mmap_max=0, trim_threshold=FREE_BYTES)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _set_allocator(mmap_max=USUAL_MMAP_MAX, trim_threshold=USUAL_TRIM_THRESHOLD)
        _give_back()


def _set_allocator(*, mmap_max: int, trim_threshold: int) -> None:
    """Set the number of blocks that glibc maps separately, and the free memory that it keeps at the end of the heap."""
    if set_option := _of_library("mallopt"):
        set_option(MMAP_MAX, mmap_max)
        set_option(MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD)
        set_option(TRIM_THRESHOLD, trim_threshold)


def _give_back() -> None:
    """Return all free memory to the system."""
    if trim := _of_library("malloc_trim"):
        trim(0)


def _of_library(name: str) -> Callable[..., int] | None:
    """Look up a function of the C library; None if it has no such function, as on macOS and Windows."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):
        return None
