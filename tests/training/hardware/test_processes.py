import subprocess
import sys
from types import SimpleNamespace

import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only

from triptych.training.hardware.processes import ending_together, is_first_process


@pytest.mark.parametrize(
    ("rank", "machine", "first"), [(0, None, True), (1, None, False), (0, "0", True), (0, "1", False), (3, "1", False)]
)
def test_one_process_of_all_machines_speaks(
    monkeypatch: pytest.MonkeyPatch, rank: int, machine: str | None, first: bool
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    if machine is None:
        monkeypatch.delenv("NODE_RANK", raising=False)
    else:
        monkeypatch.setenv("NODE_RANK", machine)

    assert is_first_process() is first


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def trainer_with(processes: list[subprocess.Popen[bytes]]) -> SimpleNamespace:
    return SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(procs=processes)))


def test_processes_that_were_started_end_with_the_one_that_failed() -> None:
    processes = [sleeper(), sleeper()]
    watched = list(processes)

    with pytest.raises(KeyError, match="the reason"), ending_together(trainer_with(watched)):
        raise KeyError("the reason")

    assert all(process.poll() is not None for process in processes)
    assert watched == []


def test_processes_live_on_where_nothing_failed() -> None:
    process = sleeper()
    try:
        with ending_together(trainer_with([process])):
            pass
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_failure_of_a_process_that_started_none_is_passed_on() -> None:
    alone = SimpleNamespace(strategy=SimpleNamespace(launcher=None))

    with pytest.raises(ValueError, match="the reason"), ending_together(alone):
        raise ValueError("the reason")
