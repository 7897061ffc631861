"""Utilisation of the machine's arithmetic by a training step, relative to a large matrix product.

    python benchmarks/utilisation.py [--config configs/cifar10.yaml] [--steps 10]

The peak is that of a product of two 2048x2048 matrices in bfloat16, measured in the same run. A forward pass has the
FLOPs that `triptych describe` counts; a backward pass is taken as twice as many; of Muon's step the products of
matrices are counted. Times are medians over the steps, on synthetic images of the config's shape and batch size.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import conditions, one_key_a_line
from shipped_way import shipped_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from triptych.config.schema import RunConfig
from triptych.models import MultiTaskImageTransformer
from triptych.models.builder import build_model
from triptych.models.summary import model_summary
from triptych.training.hardware.tuning import tuned_process
from triptych.training.optimisation.optimizers import build_optimizer

CONFIG = Path(__file__).parents[1] / "configs" / "cifar10.yaml"
SIDE = 2048
WARM_UP = 2
CLASSES = 10


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_flops(repeats: int = 7) -> float:
    """Return the FLOP/s of a large product in bfloat16, the best of several."""
    left, right = torch.randn(2, SIDE, SIDE).bfloat16().unbind()
    return 2 * SIDE**3 / min(seconds(lambda: left @ right) for _ in range(repeats))


def timed_steps(config: RunConfig, steps: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds and FLOPs of the parts of a step."""
    model = build_model(config, num_classes=CLASSES, pixel_mean=0.5, pixel_std=0.25)
    assert isinstance(model, MultiTaskImageTransformer), "the benchmark needs training.use_multitask_loss: true"
    model.train()
    optimizer = build_optimizer(model, model.encoder, config, muon_dtype=torch.bfloat16)
    images = torch.rand(config.dataset.batch_size, *config.dataset.image_shape)
    labels = torch.arange(len(images)) % CLASSES
    times: dict[str, list[float]] = {"forward": [], "backward": [], "optimiser": []}
    for _ in range(WARM_UP + steps):
        losses: list[Tensor] = []
        times["forward"].append(seconds(lambda losses=losses: losses.append(loss_of(model, images, labels))))
        times["backward"].append(seconds(losses[0].backward))
        times["optimiser"].append(seconds(optimizer.step))
        optimizer.zero_grad()
    forward = len(images) * model_summary(model).total.flops
    return (
        {part: statistics.median(values[WARM_UP:]) for part, values in times.items()},
        {"forward": forward, "backward": 2 * forward, "optimiser": optimiser_flops(model, optimizer)},
    )


def loss_of(model: MultiTaskImageTransformer, images: Tensor, labels: Tensor) -> Tensor:
    """Return a loss of all outputs, in the precision of a run."""
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images)
    loss = nn.functional.cross_entropy(output.logits, labels) + (output.reconstruction - images).square().mean()
    return loss + output.mean.square().mean() + output.log_variance.mean()


def optimiser_flops(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """Count the FLOPs of a step's products of matrices."""
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None
    with FlopCounterMode(display=False) as counter:
        optimizer.step()
    return float(counter.get_total_flops())


@tuned_process()
def main() -> None:
    """Time the parts of a step and print their share of the peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    config = shipped_config(given.config, ["training.precision=bf16-mixed"])
    times, flops = timed_steps(config, given.steps)
    peak = peak_flops()
    share = {part: round(flops[part] / times[part] / peak, 3) for part in times}
    both = (flops["forward"] + flops["backward"]) / (times["forward"] + times["backward"]) / peak
    report = {
        "config": given.config.name,
        "batch_size": config.dataset.batch_size,
        "peak_gflops": round(peak / 1e9),
        "milliseconds": {part: round(1e3 * value, 1) for part, value in times.items()},
        "share_of_peak": {**share, "forward and backward": round(both, 3)},
        **conditions(config),
    }
    print(one_key_a_line(report))


if __name__ == "__main__":
    main()
