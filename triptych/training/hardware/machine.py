"""Hardware of the run: accelerator, processes, precision and their description, chosen once."""

import os
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from triptych.config.schema import TrainingConfig
from triptych.errors import TrainingError

Accelerator = Literal["cpu", "gpu", "mps"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

CPU_BF16 = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""Instructions for bf16 arithmetic, by PyTorch's names on x86 and ARM."""


@dataclass(frozen=True)
class Hardware:
    """The hardware of a run.

    Attributes:
        accelerator: Lightning's name of the accelerator.
        devices: Number of processes on each machine.
        num_nodes: Number of machines.
        precision: Lightning's name of the precision.
        precision_reason: Why `precision: auto` chose it; empty if the config sets it.
        compiled: Whether PyTorch compiles the model.
        compile_reason: Why `compile: auto` chose it; empty if the config sets it.
    """

    accelerator: Accelerator
    devices: int
    num_nodes: int
    precision: Precision
    precision_reason: str = ""
    compiled: bool = False
    compile_reason: str = ""

    @property
    def processes(self) -> int:
        """Number of processes on all machines."""
        return self.devices * self.num_nodes

    @property
    def device(self) -> str:
        """Human-readable name of a process's device."""
        if self.accelerator == "gpu":
            return torch.cuda.get_device_name()
        if self.accelerator == "mps":
            return "Apple GPU (MPS)"
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def resolve_hardware(training: TrainingConfig) -> Hardware:
    """Choose the hardware of the run; settings that the config omits use the best that the machine has.

    The choices that also depend on the model, precision on a CPU and compilation, are in `precision.py` and
    `compiling.py`.

    Raises:
        TrainingError: This machine does not have the hardware that the config requires.
    """
    accelerator = _accelerator(training)
    precision, reason = _precision(training, accelerator)
    return Hardware(accelerator, _devices(training, accelerator), training.num_nodes, precision, reason)


def calculates_in_bf16(accelerator: Accelerator) -> bool:
    """Return whether this machine has instructions for bf16; without them bf16 is emulated and slow."""
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator == "mps":
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        return any(torch.cpu.get_capabilities().get(name, False) for name in CPU_BF16)
    # PyTorch 2.9, on x86.
    older = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in older)


def _accelerator(training: TrainingConfig) -> Accelerator:
    present: dict[Accelerator, bool] = {
        "gpu": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    there = [name for name, is_there in present.items() if is_there]
    chosen = there[0] if training.accelerator == "auto" else training.accelerator
    if chosen not in there:
        raise TrainingError(
            f"training.accelerator: expected an accelerator that this machine has ({' or '.join(there)}), got "
            f"{chosen!r}. Use accelerator: auto."
        )
    return chosen


def _devices(training: TrainingConfig, accelerator: Accelerator) -> int:
    """Return the configured number, or else that of the launcher's processes, or else one per GPU."""
    started = _started_by_a_launcher()
    available = {"cpu": None, "gpu": torch.cuda.device_count(), "mps": 1}[accelerator]
    wanted = started or available or 1 if training.devices == "auto" else training.devices
    if started is not None and wanted != started:
        raise TrainingError(
            f"training.devices: expected {started}, the processes that the launcher has started on this machine; got "
            f"{wanted}. Use devices: auto, or start as many."
        )
    if available is not None and wanted > available:
        raise TrainingError(
            f"training.devices: expected at most {available}, which is what this machine has for accelerator "
            f"{accelerator}; got {wanted}. Use devices: auto."
        )
    return wanted


def _precision(training: TrainingConfig, accelerator: Accelerator) -> tuple[Precision, str]:
    """Return the configured precision, or else bf16 on a GPU with bf16 and float32 elsewhere, with the reason."""
    if training.precision == "auto":
        device = {"cpu": "CPU", "gpu": "GPU", "mps": "Apple GPU"}[accelerator]
        if not calculates_in_bf16(accelerator):
            return "32-true", f"no bf16 on this {device}"
        return ("bf16-mixed", "this GPU has bf16") if accelerator == "gpu" else ("32-true", "")
    if training.precision == "16-mixed" and accelerator == "cpu":
        raise TrainingError(
            "training.precision: expected bf16-mixed, 32-true or auto where there is no GPU, got '16-mixed'. Use "
            "precision: auto."
        )
    return training.precision, ""


def _started_by_a_launcher() -> int | None:
    """Return the number of processes that torchrun or SLURM started on this machine, or None without a launcher."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["LOCAL_WORLD_SIZE"])
    if SLURMEnvironment.detect():
        return int(os.environ.get("SLURM_NTASKS_PER_NODE", "1"))
    return None
