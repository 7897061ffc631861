import subprocess
import sys

import torch

from triptych.training.hardware.denormals import flushing_denormals

LEAST = torch.finfo(torch.float32).tiny


def is_flushed():
    return bool(torch.tensor([LEAST]).mul(0.5) == 0)


def test_denormal_numbers_are_zero_inside_and_numbers_again_after_it():
    assert not is_flushed()
    with flushing_denormals():
        assert is_flushed()
    assert not is_flushed()


def test_an_error_ends_it_too():
    @flushing_denormals()
    def failing():
        assert is_flushed()
        raise KeyError

    try:
        failing()
    except KeyError:
        assert not is_flushed()


def test_every_thread_of_a_process_that_begins_with_it_flushes():
    program = f"""
import torch
from triptych.training.hardware.denormals import flushing_denormals
torch.set_num_threads(4)
with flushing_denormals():
    print(int(torch.full((4_000_000,), {LEAST}).mul(0.5).count_nonzero()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
