"""Denormal numbers, which some processors compute slowly, are flushed to zero while a run trains."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Let the processor treat numbers below about 1e-38 as zero, until the block or the decorated function ends.

    They are far below rounding errors, and come from activations whose tails fade out. A processor that
    calculates them in microcode takes up to twice as long for a whole training step when one gradient in a hundred is
    such a number. Threads have the setting of the thread that started them: those that PyTorch had started before keep
    their own. On a GPU they cost nothing.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
