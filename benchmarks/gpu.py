"""One large GPU: accuracy and training time of configs/<dataset>_gpu.yaml, and how much of the GPU a step uses.

    python benchmarks/gpu.py [--configs configs/cifar10_gpu.yaml ...] [--seeds 0 1 2] [--epochs N] [--steps 50]

training: the whole run without compilation, in a process of its own: seconds between the first and the last step of
each epoch, the GPU's queue emptied at both ends, so that validation and checkpoints are not in them; test accuracy of
the last weights, and the most memory that the GPU held.

step: forward pass, losses and backward pass of one batch that lies on the GPU, as it is and compiled; the compiler's
seconds beside it. Model FLOPs utilisation is three times the forward pass's FLOPs (`triptych` counts products,
convolutions and attention), over the step's time and the rate of a large matrix product of the same precision, measured
in the same run. A published peak is higher than a measured one: an H100 SXM's is 989 TFLOP/s in bf16, and the
utilisation of that is given too where the GPU is one.

Without a GPU it does the same on the CPU in float32, which shows whether it runs and nothing else. Wanted: CIFAR-10
(JPEG) .93 in 60 s and .945 in 120 s, MNIST .996 and Fashion-MNIST .945 in 60 s, utilisation of .2 at width 384.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from measuring import conditions, in_own_process, one_key_a_line
from shipped_way import fit_shipped, quiet_lightning

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import load_dataset
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.outputs import model_outputs
from triptych.models import model_summary
from triptych.training.building import build_module
from triptych.training.hardware.machine import resolve_hardware

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*_gpu.yaml"))
PUBLISHED_PEAKS = {"NVIDIA H100 80GB HBM3": 989e12}
"""FLOP/s of dense bf16 products, by the name that CUDA gives the GPU; the H100's from NVIDIA's data sheet."""
SIDE = 8192
"""Side of the matrices whose product measures the peak on a GPU; a quarter of it on a CPU."""


class EpochClock(Callback):
    """Counts the seconds from the first to the last step of each epoch."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Begin to count."""
        self.began = now()

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Count when the epoch's last step is done, on the GPU too."""
        if trainer.is_last_batch:
            self.seconds += now() - self.began


def now() -> float:
    """Return the time at which all work of the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def opened(path: Path, changes: list[str]) -> tuple[RunConfig, ImageDataModule]:
    """Read a config, uncompiled and without early stopping, and its data."""
    quiet_lightning()
    config = load_config(path, ["training.compile=false", "training.early_stopping.enabled=false", *changes])
    return config, ImageDataModule(config, load_dataset(config.dataset.name, root=config.dataset.root))


def trained(path: Path, changes: list[str]) -> dict[str, Any]:
    """Train by the config, and test the last weights."""
    config, data = opened(path, changes)
    clock, module = EpochClock(), build_module(config, data)
    fit_shipped(config, data, module=module, callbacks=[clock])
    module.to("cuda" if torch.cuda.is_available() else "cpu")
    outputs = model_outputs(module.model.eval(), data.test)
    right = (outputs.probabilities.argmax(1).cpu() == outputs.labels.cpu()).float().mean().item()
    held = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"train_seconds": round(clock.seconds, 1), "accuracy": round(right, 4), "gpu_mib": round(held / 2**20)}


def step_costs(path: Path, changes: list[str], steps: int) -> dict[str, Any]:
    """Time a step, uncompiled and compiled, beside a large matrix product."""
    config, data = opened(path, changes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    half = "bf16" in resolve_hardware(config.training).precision or device.type == "cuda"
    precision = torch.bfloat16 if half else torch.float32
    module = build_module(config, data).to(device).train()
    batch = next(iter(data.train_dataloader())).to(device)
    flops = 3 * model_summary(module.model).total.flops * len(batch.label)

    def step() -> None:
        with torch.autocast(device.type, dtype=precision, enabled=half):
            total = module.measure(batch).losses.total
        total.backward()
        module.zero_grad()

    peak = product_rate(device, precision)
    plain = median_seconds(step, steps)
    began = now()
    module.model.compile()
    step()
    compiling = now() - began
    compiled = median_seconds(step, steps)
    name = torch.cuda.get_device_name() if device.type == "cuda" else ""
    return {
        "embed_dim": config.model.embed_dim,
        "batch": len(batch.label),
        "precision": str(precision),
        "milliseconds": round(plain * 1e3, 2),
        "milliseconds_compiled": round(compiled * 1e3, 2),
        "compile_seconds": round(compiling, 1),
        "tflops_measured_peak": round(peak / 1e12, 2),
        "utilisation": round(flops / plain / peak, 3),
        "utilisation_compiled": round(flops / compiled / peak, 3),
        "utilisation_compiled_of_published_peak": round(flops / compiled / PUBLISHED_PEAKS[name], 3)
        if name in PUBLISHED_PEAKS
        else None,
    }


def product_rate(device: torch.device, precision: torch.dtype) -> float:
    """Return the FLOP/s of a large matrix product."""
    side = SIDE if device.type == "cuda" else SIDE // 4
    a, b = torch.randn(2, side, side, device=device, dtype=precision)
    return 2 * side**3 / median_seconds(lambda: a @ b, 10)


def median_seconds(call: Callable[[], object], times: int) -> float:
    """Call a few times as warm-up, then `times` times, and return the median."""
    for _ in range(3):
        call()
    seconds = []
    for _ in range(times):
        began = now()
        call()
        seconds.append(now() - began)
    return statistics.median(seconds)


def main() -> None:
    """Time the steps of each config, then train it from each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=Path, nargs="+", default=CONFIGS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, default=50)
    given = parser.parse_args()

    epochs = [f"training.epochs={given.epochs}"] if given.epochs else []
    for path in given.configs:
        report: dict[str, Any] = {"config": path.name, "step": in_own_process(step_costs, path, epochs, given.steps)}
        for seed in given.seeds:
            changes = [*epochs, f"training.seed={seed}"]
            report[f"seed {seed}"] = in_own_process(trained, path, changes)
        print(one_key_a_line({**report, **conditions(load_config(path))}), flush=True)


if __name__ == "__main__":
    main()
