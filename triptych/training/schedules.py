"""Learning-rate schedules by PyTorch's names and arguments: counted in epochs, applied smoothly at every step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
    StepLR,
)

from triptych.config.schema import SchedulerConfig


def build_scheduler(optimizer: Optimizer, config: SchedulerConfig, *, epochs: int, steps_per_epoch: int) -> LRScheduler:
    """Return the schedule of a run, to be stepped after every optimiser step.

    After a whole number of epochs the rate is the one that PyTorch's scheduler of that name gives when it is stepped
    once an epoch; between them it moves smoothly (StepLR still drops at once). The warm-up climbs in a straight line,
    and the schedule begins where it ends.

    Args:
        optimizer: Whose rates move.
        config: Name, arguments in epochs, and the length of the warm-up.
        epochs: Epochs of the run; CosineAnnealingLR without T_max reaches its minimum at their end.
        steps_per_epoch: Optimiser steps in an epoch.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    main: LRScheduler
    match config.name:
        case "StepLR":
            main = StepLR(optimizer, step_size=config.step_size * steps_per_epoch, gamma=config.gamma)
        case "CosineAnnealingLR":
            length = epochs * steps_per_epoch - warmup if config.T_max is None else config.T_max * steps_per_epoch
            main = CosineAnnealingLR(optimizer, T_max=max(1, length), eta_min=config.eta_min)
        case "ExponentialLR":
            main = ExponentialLR(optimizer, gamma=config.gamma ** (1 / steps_per_epoch))
        case "none":
            main = LambdaLR(optimizer, lambda _: 1.0)
    if not warmup:
        return main
    climb = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return SequentialLR(optimizer, [climb, main], milestones=[warmup])
