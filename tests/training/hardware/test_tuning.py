import platform
import subprocess
import sys

import pytest
import torch

from triptych.training.hardware.tuning import tuned_process

LEAST = torch.finfo(torch.float32).tiny


def is_flushed():
    return bool(torch.tensor([LEAST]).mul(0.5) == 0)


def test_denormal_numbers_are_zero_inside_and_numbers_again_after_it():
    assert not is_flushed()
    with tuned_process():
        assert is_flushed()
    assert not is_flushed()


def test_an_error_ends_it_too():
    @tuned_process()
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
from triptych.training.hardware.tuning import tuned_process
torch.set_num_threads(4)
with tuned_process():
    print(int(torch.full((4_000_000,), {LEAST}).mul(0.5).count_nonzero()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other allocators")
def test_memory_that_is_freed_is_used_again_inside_and_given_back_after_it():
    program = """
import resource
import torch
from triptych.training.hardware.tuning import tuned_process

def page_faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

with tuned_process():
    page_faults(20)
    inside = page_faults(10)
    kept = resident()
print(inside, page_faults(10), kept - resident())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    inside, outside, given_back = (int(number) for number in done.stdout.split())
    assert inside < outside / 5
    assert given_back > 0
