import warnings
from itertools import pairwise

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, LRScheduler, StepLR

from triptych.config.schema import SchedulerConfig
from triptych.training.optimisation.schedules import build_scheduler

EPOCHS, STEPS = 6, 7
RATES = (0.1, 0.003)
"""Two groups of parameters with rates of their own, as Muon and AdamW have."""


def optimizer() -> Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES]
    return SGD(groups, lr=1.0)


def rates(scheduler: LRScheduler, steps: int) -> list[list[float]]:
    """Return the rates before each of `steps` steps, and after the last."""
    seen = [scheduler.get_last_lr()]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        seen.append(scheduler.get_last_lr())
    return [list(each) for each in seen]


def test_a_constant_rate_stays() -> None:
    scheduler = build_scheduler(optimizer(), SchedulerConfig(name="none"), epochs=EPOCHS, steps_per_epoch=STEPS)

    assert all(each == list(RATES) for each in rates(scheduler, EPOCHS * STEPS))


@pytest.mark.parametrize(
    ("config", "oracle"),
    [
        (SchedulerConfig(name="StepLR", step_size=2, gamma=0.5), lambda o: StepLR(o, step_size=2, gamma=0.5)),
        (SchedulerConfig(name="ExponentialLR", gamma=0.8), lambda o: ExponentialLR(o, gamma=0.8)),
        (
            SchedulerConfig(name="CosineAnnealingLR", eta_min=0.001),
            lambda o: CosineAnnealingLR(o, T_max=EPOCHS, eta_min=0.001),
        ),
        # A shorter T_max climbs again, as PyTorch's does.
        (SchedulerConfig(name="CosineAnnealingLR", T_max=4), lambda o: CosineAnnealingLR(o, T_max=4)),
        (SchedulerConfig(name="CosineAnnealingLR", T_max=9), lambda o: CosineAnnealingLR(o, T_max=9)),
        (SchedulerConfig(name="LinearLR"), lambda o: LinearLR(o, 1.0, 0.0, total_iters=EPOCHS)),
        (
            SchedulerConfig(name="LinearLR", total_iters=4, end_factor=0.1),
            lambda o: LinearLR(o, 1.0, 0.1, total_iters=4),
        ),
    ],
    ids=[
        "StepLR",
        "ExponentialLR",
        "CosineAnnealingLR",
        "CosineAnnealingLR-short",
        "CosineAnnealingLR-long",
        "LinearLR",
        "LinearLR-short",
    ],
)
def test_after_whole_epochs_the_rate_is_that_of_pytorchs_scheduler(config: SchedulerConfig, oracle) -> None:
    scheduler = build_scheduler(optimizer(), config, epochs=EPOCHS, steps_per_epoch=STEPS)

    by_step = rates(scheduler, EPOCHS * STEPS)
    by_epoch = rates(oracle(optimizer()), EPOCHS)

    for epoch in range(EPOCHS + 1):
        assert by_step[epoch * STEPS] == pytest.approx(by_epoch[epoch], rel=1e-6, abs=1e-9)


def test_between_epochs_the_rate_moves_at_every_step_and_steplr_only_at_its_drop() -> None:
    smooth = build_scheduler(
        optimizer(), SchedulerConfig(name="ExponentialLR", gamma=0.5), epochs=EPOCHS, steps_per_epoch=STEPS
    )
    stepped = build_scheduler(
        optimizer(), SchedulerConfig(name="StepLR", step_size=2), epochs=EPOCHS, steps_per_epoch=STEPS
    )

    falling = [each[0] for each in rates(smooth, EPOCHS * STEPS)]
    drops = [each[0] for each in rates(stepped, EPOCHS * STEPS)]

    assert all(later < earlier for earlier, later in pairwise(falling))
    assert [step for step in range(1, len(drops)) if drops[step] != drops[step - 1]] == [14, 28, 42]


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "ExponentialLR", "none"])
def test_the_warm_up_climbs_in_a_straight_line_and_the_schedule_begins_where_it_ends(name: str) -> None:
    config = SchedulerConfig(name=name, step_size=1, warmup_epochs=1.5)
    warmup = round(1.5 * STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warmed = build_scheduler(optimizer(), config, epochs=EPOCHS, steps_per_epoch=STEPS)
        seen = rates(warmed, EPOCHS * STEPS)

    for group, rate in enumerate(RATES):
        climb = [each[group] for each in seen[: warmup + 1]]
        assert climb == pytest.approx([rate * (step + 1) / (warmup + 1) for step in range(warmup + 1)], rel=1e-6)
    if name == "CosineAnnealingLR":
        after = CosineAnnealingLR(optimizer(), T_max=EPOCHS * STEPS - warmup)
    else:
        cold = SchedulerConfig(name=name, step_size=1)
        after = build_scheduler(optimizer(), cold, epochs=EPOCHS, steps_per_epoch=STEPS)
    for got, expected in zip(seen[warmup:], rates(after, EPOCHS * STEPS - warmup), strict=True):
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_cosine_reaches_its_minimum_at_the_end_of_the_run() -> None:
    config = SchedulerConfig(name="CosineAnnealingLR", eta_min=1e-4, warmup_epochs=2.0)

    last = rates(build_scheduler(optimizer(), config, epochs=EPOCHS, steps_per_epoch=STEPS), EPOCHS * STEPS)[-1]

    assert last == pytest.approx([1e-4, 1e-4], abs=1e-9)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "ExponentialLR", "none"])
@pytest.mark.parametrize("done", [3, 10, 25])
def test_a_saved_schedule_resumes_exactly(name: str, done: int) -> None:
    config = SchedulerConfig(name=name, step_size=1, warmup_epochs=1.0)
    whole = build_scheduler(optimizer(), config, epochs=EPOCHS, steps_per_epoch=STEPS)
    rates(whole, done)

    resumed_optimizer = optimizer()
    resumed = build_scheduler(resumed_optimizer, config, epochs=EPOCHS, steps_per_epoch=STEPS)
    resumed.load_state_dict(whole.state_dict())
    resumed_optimizer.load_state_dict(whole.optimizer.state_dict())

    rest = EPOCHS * STEPS - done
    assert rates(resumed, rest) == rates(whole, rest)


def test_a_run_resumed_with_more_epochs_follows_the_longer_schedule() -> None:
    config = SchedulerConfig(name="CosineAnnealingLR", warmup_epochs=1.0)
    short = build_scheduler(optimizer(), config, epochs=EPOCHS, steps_per_epoch=STEPS)
    rates(short, EPOCHS * STEPS)

    resumed_optimizer = optimizer()
    resumed = build_scheduler(resumed_optimizer, config, epochs=2 * EPOCHS, steps_per_epoch=STEPS)
    resumed.load_state_dict(short.state_dict())
    resumed_optimizer.load_state_dict(short.optimizer.state_dict())

    long = build_scheduler(optimizer(), config, epochs=2 * EPOCHS, steps_per_epoch=STEPS)
    expected = rates(long, 2 * EPOCHS * STEPS)[EPOCHS * STEPS + 1 :]
    for got, wanted in zip(rates(resumed, EPOCHS * STEPS)[1:], expected, strict=True):
        assert got == pytest.approx(wanted, rel=1e-9, abs=1e-12)
