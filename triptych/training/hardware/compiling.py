"""Compilation of the model: the decision, made before the run from hardware and config, and its scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import ceil

import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.module import ImageDataModule
from triptych.errors import TrainingError
from triptych.training.hardware.machine import Hardware
from triptych.training.modules import TaskModule

BACKEND = "inductor"
"""PyTorch's own compiler."""

STEPS_TO_PAY = 5000
"""Number of training steps from which `compile: auto` compiles: a minute at the start versus 12 ms saved per step. This
is an estimate for a small Vision Transformer on a large GPU, where kernel launches dominate an uncompiled step."""


def choose_compilation(hardware: Hardware, config: RunConfig, data: ImageDataModule) -> Hardware:
    """Return the hardware with the value of `training.compile` resolved, and the reason if it is auto.

    Raises:
        TrainingError: The config requires compilation, but it does not work on this machine.
    """
    training = config.training
    if training.compile == "auto":
        compiled, reason = _auto(hardware, config, data)
        return replace(hardware, compiled=compiled, compile_reason=reason)
    obstacle = _obstacle(hardware) if training.compile else ""
    if obstacle:
        raise TrainingError(
            "training.compile: expected a machine on which torch.compile works: with a C++ compiler for a CPU, with "
            f"Triton for a GPU; got: {obstacle}. Install what is missing, or use compile: false."
        )
    return replace(hardware, compiled=training.compile)


@contextmanager
def compiled_training(module: TaskModule, data: ImageDataModule, hardware: Hardware) -> Iterator[None]:
    """Compile the model in place if so decided; after the block it is restored.

    The state dict keeps its keys, so that checkpoints equal those of an uncompiled model. Training and evaluation mode
    are compiled once each: if the epoch's batches differ in size (by one image), sizes are dynamic from the start;
    otherwise they are static for training and dynamic for evaluation. The final metrics and the figures, which use
    other batch sizes and run only once, are not worth compiling.
    """
    if not hardware.compiled:
        yield
        return
    sizes_differ = len(data.train.labels) % (_batches(hardware, data) * hardware.processes) != 0
    module.model.compile(backend=BACKEND, dynamic=True if sizes_differ else None)
    try:
        yield
    finally:
        module.model.compile(disable=True)
        # Otherwise a process that trains several runs reaches PyTorch's limit of recompilations of a function.
        torch.compiler.reset()


def _auto(hardware: Hardware, config: RunConfig, data: ImageDataModule) -> tuple[bool, str]:
    if hardware.accelerator != "gpu":
        return False, f"it rarely pays on {'a CPU' if hardware.accelerator == 'cpu' else 'an Apple GPU'}"
    if config.training.deterministic:
        return False, "the compiler times its kernels, and the run is deterministic"
    steps = _batches(hardware, data) * config.training.epochs
    if steps < STEPS_TO_PAY:
        return False, f"it pays from {STEPS_TO_PAY:,} steps on, and the run has {steps:,}"
    obstacle = _obstacle(hardware)
    return not obstacle, obstacle or f"it pays from {STEPS_TO_PAY:,} steps on, and the run has {steps:,}"


def _batches(hardware: Hardware, data: ImageDataModule) -> int:
    """Return the number of steps per epoch, before the data module knows the number of processes."""
    return ceil(len(data.train.labels) / (data.config.dataset.batch_size * hardware.processes))


def _obstacle(hardware: Hardware) -> str:
    """Compile and run a tiny function; return the error in one line, or an empty string."""
    device = {"cpu": "cpu", "gpu": "cuda", "mps": "mps"}[hardware.accelerator]
    try:
        torch.compile(_twice, backend=BACKEND)(torch.ones(2, device=device))
    except (ImportError, OSError, RuntimeError) as error:
        # The lines above its message, which end with a colon, name the code that passed it on.
        lines = [line.strip(" .") for line in str(error).splitlines() if line.strip() and not line.endswith(":")]
        return lines[0] if lines else type(error).__name__
    return ""


def _twice(numbers: Tensor) -> Tensor:
    return numbers + numbers
