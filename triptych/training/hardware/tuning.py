"""What a process is set to while a run trains in it: denormal numbers are zero, and freed memory is used again."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""The options of glibc's `mallopt` (its malloc.h)."""
FREE_BYTES = 2**31 - 1
"""Most of the freed memory at the end of the heap that stays with the process: the largest value that glibc takes."""
USUAL_TRIM_THRESHOLD, USUAL_MMAP_THRESHOLD, USUAL_MMAP_MAX = 2**26, 2**25, 2**16
"""Where glibc's own adjustment ends in a process that has freed large blocks."""


@contextmanager
def tuned_process() -> Iterator[None]:
    """Flush denormals to zero and keep freed memory, until the block or the decorated function ends.

    Denormal numbers, below about 1e-38, are far below rounding errors, and come from activations whose tails fade out.
    A processor that calculates them in microcode takes up to twice as long for a whole training step when one gradient
    in a hundred is such a number. Threads have the setting of the thread that started them: those that PyTorch had
    started before keep their own. On a GPU they cost nothing.

    The activations of a step have tens of megabytes each. By default glibc gives such memory back to the system as
    soon as it is freed, and the system clears each page before it hands it out again: 7 % of the processor time of a
    step of configs/cifar10.yaml, and up to 14 % of the time on a machine that other programs use too. With another C
    library nothing is changed.
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
    """Set how many blocks glibc maps on their own, and how much free memory at the end of the heap it keeps."""
    if set_option := _of_library("mallopt"):
        set_option(MMAP_MAX, mmap_max)
        set_option(MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD)
        set_option(TRIM_THRESHOLD, trim_threshold)


def _give_back() -> None:
    """Give all free memory back to the system."""
    if trim := _of_library("malloc_trim"):
        trim(0)


def _of_library(name: str) -> Callable[..., int] | None:
    """Look a function of the C library up; None where it has none of that name, as on macOS and Windows."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):
        return None
