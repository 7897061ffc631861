"""The choice of `precision: auto`: bf16 if the hardware supports it and the model is large enough to benefit."""

from dataclasses import replace

from triptych.config.schema import TrainingConfig
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.summary import model_summary
from triptych.training.hardware.machine import Hardware, Precision, calculates_in_bf16

ENOUGH_FLOPS = 10e6
"""FLOPs per image of a forward pass from which bf16 is faster on a CPU with bf16 instructions: a smaller model spends
its time outside matrix products. On an AMD EPYC with AVX-512 bf16, one thread, a training step was 1.3 times as fast
in bf16 with 5 MFLOPs (configs/digits.yaml), 1.5 times with 18, and 2.0 times with 117 (cifar10.yaml)."""


def choose_precision(
    hardware: Hardware,
    training: TrainingConfig,
    model: ImageTransformer | MultiTaskImageTransformer,
    *,
    begun_with: Precision | None = None,
) -> Hardware:
    """Return the hardware with the precision of the run, and the reason if it is auto.

    It depends only on hardware and model: the same command on the same machine gives the same weights, even under load.

    Args:
        hardware: The hardware of the run.
        training: The training config.
        model: The network.
        begun_with: The precision that auto chose when a resumed run started.
    """
    if training.precision != "auto":
        return hardware
    able = calculates_in_bf16(hardware.accelerator)
    if begun_with == "32-true" or (begun_with == "bf16-mixed" and able):
        return replace(hardware, precision=begun_with, precision_reason="the run began with it")
    if not able or hardware.accelerator != "cpu":
        return hardware
    flops = model_summary(model).total.flops
    size = f"{flops / 1e6:,.1f} MFLOPs an image, bf16 pays from {ENOUGH_FLOPS / 1e6:,.0f} on"
    return replace(hardware, precision="bf16-mixed" if flops >= ENOUGH_FLOPS else "32-true", precision_reason=size)
