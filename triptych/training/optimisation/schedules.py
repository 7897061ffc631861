"""Learning-rate schedules with PyTorch's names and arguments, in epochs, but updated smoothly at every step."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from triptych.config.schema import SchedulerConfig


def build_scheduler(optimizer: Optimizer, config: SchedulerConfig, *, epochs: int, steps_per_epoch: int) -> LambdaLR:
    """Return the schedule of a run, to be stepped after every optimiser step.

    After a whole number of epochs the learning rate equals that of PyTorch's scheduler of that name, stepped once per
    epoch; in between it changes smoothly (StepLR still drops at once). The warm-up is linear, and the schedule starts
    after it. The learning rate is a function of the step only, so that a run resumed with more epochs follows the
    longer schedule from its current step.

    Args:
        optimizer: The optimiser whose learning rates change.
        config: Name, arguments in epochs, and the length of the warm-up.
        epochs: Number of epochs of the run; CosineAnnealingLR without T_max and LinearLR without total_iters end with
            the last epoch.
        steps_per_epoch: Number of optimiser steps per epoch.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    after_warmup = max(1, epochs * steps_per_epoch - warmup) / steps_per_epoch

    def share(base: float) -> Callable[[int], float]:
        def of_step(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            epoch = (step - warmup) / steps_per_epoch
            return rate(config, base, epoch, epochs=after_warmup) / base

        return of_step

    return LambdaLR(optimizer, [share(group["lr"]) for group in optimizer.param_groups])


def rate(config: SchedulerConfig, base: float, epoch: float, *, epochs: float) -> float:
    """Return the learning rate `epoch` epochs after the warm-up, of `epochs` in total; it starts at `base`."""
    match config.name:
        case "StepLR":
            # A small tolerance, so that rounding of step / steps_per_epoch does not delay the drop.
            return base * math.pow(config.gamma, math.floor(epoch / config.step_size + 1e-9))
        case "CosineAnnealingLR":
            turn = math.pi * epoch / (config.T_max or epochs)
            return config.eta_min + (base - config.eta_min) * (1 + math.cos(turn)) / 2
        case "LinearLR":
            return base * (1 + (config.end_factor - 1) * min(1.0, epoch / (config.total_iters or epochs)))
        case "ExponentialLR":
            return base * math.pow(config.gamma, epoch)
        case "none":
            return base
