"""Tools of the benchmarks: separate processes, memory, and the environment of a measurement."""

import json
import multiprocessing
import resource
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from triptych.config.schema import RunConfig
from triptych.training.hardware.machine import resolve_hardware
from triptych.training.reporting import environment

P = ParamSpec("P")
R = TypeVar("R")


def in_own_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function of a module in a fresh process, with fresh memory and threads."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def resident_bytes() -> int:
    """Return the current memory of the process, and reset its peak (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_bytes() -> int:
    """Return the peak memory of the process since the call of `resident_bytes`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10


def conditions(config: RunConfig) -> dict[str, Any]:
    """Return hardware and versions."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {**environment(resolve_hardware(config.training)), "cpu": names[0].split(": ")[1] if names else "unknown"}


def one_key_a_line(report: Mapping[str, Any]) -> str:
    """Format JSON with one key per line."""
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in report.items()) + "\n}"
