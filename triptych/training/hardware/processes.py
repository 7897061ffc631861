"""The processes that train together, seen from one of them: which one prints and writes, and how they end."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from lightning import Trainer
from lightning.fabric.utilities.rank_zero import rank_zero_only


def is_first_process() -> bool:
    """Return whether this is the process that prints and writes, also before Lightning has started."""
    # Lightning then knows the launcher's rank; where there is no launcher, the user numbers the machines.
    return getattr(rank_zero_only, "rank", 0) == 0 and os.environ.get("NODE_RANK", "0") == "0"


@contextmanager
def ending_together(trainer: Trainer) -> Iterator[None]:
    """End the processes that Lightning has started when this one, which started them, fails within the block.

    They would wait for it in an exchange until the connection breaks, and report that as a failure of their own.
    """
    try:
        yield
    except BaseException:
        started: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
        for process in started:
            process.kill()
            process.wait()
        # Lightning watches this list, and would kill this process, too, because of those that have failed.
        started.clear()
        raise
