"""What `precision: auto` comes to: a few steps of the run, timed in float32 and in bf16 before it starts."""

from copy import deepcopy
from dataclasses import replace
from statistics import median
from time import perf_counter

import torch

from triptych.data.batches.loader import Batch
from triptych.data.module import ImageDataModule
from triptych.training.hardware.machine import Hardware, Precision, calculates_in_bf16
from triptych.training.modules import TaskModule

WORTHWHILE = 1.15
"""How many times as fast bf16 must be: far enough from 1 that one machine comes to one answer."""

HOPELESS = 3.0
"""How many times as slow bf16 may be on a few images before nothing more is tried: emulated, it is 4 to 10 times."""

FEW_IMAGES = 8
"""Images of these first steps, which prepare the kernels, too."""

IMAGES_ON_A_CPU = 64
"""Images of a timed step on a CPU, so that it is short; a GPU, which fewer do not fill, is given the whole batch."""

ROUNDS = 7
"""Timed steps of each kind at most, and at least three."""

SECONDS = 1.0
"""No fourth round begins after so long."""


def settle_precision(
    hardware: Hardware, module: TaskModule, data: ImageDataModule, *, begun_with: Precision | None
) -> Hardware:
    """Return the hardware with what `training.precision` comes to on it, and the reason of auto.

    Neither module, data, nor PyTorch's random numbers are touched: steps are made on a copy.

    Args:
        hardware: With the precision by what the machine can do, and with compilation settled.
        module: As the run begins, on the CPU.
        data: Its images.
        begun_with: The precision that auto came to when the run began, where this is a resumption.
    """
    if module.config.training.precision != "auto":
        return hardware
    able = calculates_in_bf16(hardware.accelerator)
    if begun_with == "32-true" or (begun_with == "bf16-mixed" and able):
        return replace(hardware, precision=begun_with, precision_reason="the run began with it")
    if not able:
        return hardware
    if untimed := _untimed(hardware, module):
        return replace(hardware, precision_reason=f"{hardware.precision_reason}; {untimed}")
    precision, reason = _faster(hardware, module, data)
    return replace(hardware, precision=precision, precision_reason=reason)


def _untimed(hardware: Hardware, module: TaskModule) -> str:
    """Say why nothing can be timed, if so."""
    if hardware.processes > 1:
        return "several processes must agree"
    if module.config.training.deterministic:
        return "the run is deterministic"
    if hardware.compiled and hardware.accelerator == "gpu":
        return "compiled steps have times of their own"
    return ""


def _faster(hardware: Hardware, module: TaskModule, data: ImageDataModule) -> tuple[Precision, str]:
    device = torch.device("cuda:0" if hardware.accelerator == "gpu" else "cpu")
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            whole, half = _seconds(module, data, device)
    except torch.OutOfMemoryError:
        return "bf16-mixed", "a batch in float32 does not fit in the GPU's memory"
    finally:
        if device.type == "cuda":
            # What is kept for later would be missing from the free memory in which the images may have their place.
            torch.cuda.empty_cache()
    gain = whole / half
    if gain >= WORTHWHILE:
        return "bf16-mixed", f"{gain:.2f} times as fast as float32"
    return "32-true", f"bf16 is {gain:.2f} times as fast, pays from {WORTHWHILE} on"


def _seconds(module: TaskModule, data: ImageDataModule, device: torch.device) -> tuple[float, float]:
    """Return the median seconds of a training step in float32 and in bf16, taken in turns."""
    twin = _twin(module).to(device).train()
    batch = next(iter(data.train_dataloader())).to(device)
    few = _first(batch, FEW_IMAGES)
    _pair(twin, few)
    whole, half = _pair(twin, few)
    if half > HOPELESS * whole:
        return whole, half
    if device.type == "cpu":
        batch = _first(batch, IMAGES_ON_A_CPU)
    _pair(twin, batch)
    pairs: list[tuple[float, float]] = []
    began = perf_counter()
    while len(pairs) < 3 or (len(pairs) < ROUNDS and perf_counter() - began < SECONDS):
        pairs.append(_pair(twin, batch))
    return median(whole for whole, _ in pairs), median(half for _, half in pairs)


def _pair(module: TaskModule, batch: Batch) -> tuple[float, float]:
    return _step(module, batch, is_half=False), _step(module, batch, is_half=True)


def _step(module: TaskModule, batch: Batch, *, is_half: bool) -> float:
    """Return the seconds of forward pass, loss and backward pass, with autocast as Lightning has it."""
    device = batch.anchor.device
    module.zero_grad()
    _wait_for(device)
    began = perf_counter()
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half, cache_enabled=False):
        loss = module.measure(batch).losses.total
    loss.backward()  # type: ignore[no-untyped-call] # PyTorch left it without types
    _wait_for(device)
    return perf_counter() - began


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _twin(module: TaskModule) -> TaskModule:
    """Copy the module, without the warm-up, which would ask a trainer how far it is."""
    twin = deepcopy(module)
    training = module.config.training.model_copy(update={"kl_warmup_epochs": 0.0})
    twin.config = module.config.model_copy(update={"training": training})
    return twin


def _first(batch: Batch, size: int) -> Batch:
    return Batch(**{name: part[:size] for name, part in vars(batch).items() if part is not None})
