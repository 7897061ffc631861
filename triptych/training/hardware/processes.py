"""Processes of a distributed run: which one prints and writes, and how they end."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from lightning import Trainer
from lightning.fabric.utilities.rank_zero import rank_zero_only


def is_first_process() -> bool:
    """Return whether this is the process that prints and writes, also before Lightning has started."""
    # Lightning then uses the launcher's rank; without a launcher, the user numbers the machines.
    return getattr(rank_zero_only, "rank", 0) == 0 and os.environ.get("NODE_RANK", "0") == "0"


@contextmanager
def ending_together(trainer: Trainer) -> Iterator[None]:
    """Terminate the processes that Lightning has started if this process, their parent, fails within the block.

    Otherwise they would wait for it in a collective until the connection breaks, and report that as a second failure.
    """
    try:
        yield
    except BaseException:
        started: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
        for process in started:
            process.kill()
            process.wait()
        # Lightning monitors this list, and would also kill this process because of those that have failed.
        started.clear()
        raise
