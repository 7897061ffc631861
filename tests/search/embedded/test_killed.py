"""A writer that is killed at any moment: the index opens with all that was acknowledged, and with whole batches."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from triptych.search.embedded.index import EmbeddedIndex

FINGERPRINT = "f0"
BATCH = 10

WRITER = """
import os, signal, sys
import numpy as np
from triptych.search.embedded import index as module
from triptych.search.embedded.index import EmbeddedIndex

folder, last_step, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
steps = 0

def before(function):
    def stepped(*arguments, **options):
        global steps
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return stepped

for name in ("fsync", "replace", "rename", "unlink", "open"):
    setattr(os, name, before(getattr(os, name)))

index = EmbeddedIndex(folder, exact_rows=40)
for batch in range(batches):
    # each batch adds ten rows, replaces five of the batch before, and all carry its number
    first = 10 * batch - 5 * (batch > 0)
    ids = [str(number) for number in range(first, 10 * batch + 10)]
    vectors = np.random.default_rng(batch).standard_normal((len(ids), 4))
    index.add(ids, vectors, {"batch": [batch] * len(ids)}, fingerprint="f0")
    print(batch, flush=True)
    if batch % 3 == 2:
        index.delete([str(10 * batch)])
        print(batch + 0.5, flush=True)
print("steps", steps, flush=True)
"""


def state_after(batches: int, *, deleted: bool) -> dict[str, int]:
    """The batch of every id after so many batches, and the deletion after the last of them."""
    rows: dict[str, int] = {}
    for batch in range(batches):
        first = BATCH * batch - 5 * (batch > 0)
        rows |= {str(number): batch for number in range(first, BATCH * batch + BATCH)}
        if batch % 3 == 2 and (batch < batches - 1 or deleted):
            del rows[str(BATCH * batch)]
    return rows


def states(batches: int) -> list[dict[str, int]]:
    every = [state_after(0, deleted=True)]
    for batch in range(batches):
        every.append(state_after(batch + 1, deleted=False))
        if batch % 3 == 2:
            every.append(state_after(batch + 1, deleted=True))
    return every


def write(folder: Path, *, last_step: int, batches: int = 6) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(folder), str(last_step), str(batches)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.split()


def content(folder: Path) -> dict[str, int]:
    with EmbeddedIndex(folder, exact_rows=40) as index:
        index.verify()
        found = index.search(np.ones((1, 4)), 1000, fingerprint=FINGERPRINT)[0]
    return {one.id: one.metadata["batch"] for one in found}


def new_index(folder: Path) -> Path:
    EmbeddedIndex.create(folder, dimension=4, fingerprint=FINGERPRINT, exact_rows=40).close()
    return folder


def test_after_a_kill_at_any_step_the_index_is_whole_and_has_acknowledged_rows(tmp_path: Path) -> None:
    code, printed = write(new_index(tmp_path / "all"), last_step=-1)
    assert code == 0
    steps = int(printed[-1])
    every = states(6)
    assert content(tmp_path / "all") == every[-1]

    for last_step in range(1, steps, max(1, steps // 25)):
        folder = new_index(tmp_path / str(last_step))
        code, printed = write(folder, last_step=last_step)
        assert code == -signal.SIGKILL

        found = content(folder)

        assert found in every[len(printed) : len(printed) + 2], f"killed at step {last_step}"
        with EmbeddedIndex(folder, exact_rows=40, patience=1) as index:  # and it can be written
            index.add(["more"], np.ones((1, 4)), {"batch": [99]}, fingerprint=FINGERPRINT)
        assert content(folder) == {**found, "more": 99}


def test_a_writer_killed_by_another_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    every = states(200)
    folder = new_index(tmp_path / "killed")
    command = [sys.executable, "-c", WRITER, str(folder), "-1", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(17)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.readlines()

    assert content(folder) in every[len(acknowledged) : len(acknowledged) + 2]


@pytest.mark.parametrize("batches", [3])
def test_the_states_that_are_expected_are_worked_by_hand(batches: int) -> None:
    assert len(states(batches)) == 5
    assert "20" in state_after(3, deleted=False)
    assert "20" not in state_after(3, deleted=True)
    assert state_after(2, deleted=False)["5"] == 1
