"""Estimates how long a run will take on this machine, by the time of a few training steps on random images."""

import time
from math import ceil

import torch

from triptych.config.schema import RunConfig
from triptych.models.builder import build_model

STEPS = 3
"""Steps of which the fastest counts; the first ones prepare caches."""
ENOUGH = 5.0
"""Seconds after which no further step is measured."""
BATCH_ON_CPU = 64
"""Images of a measured step without a GPU, where time is proportional to images."""
EVALUATION = 1 / 3
"""Time of an image in validation, relative to training: a forward pass instead of a forward and a backward pass."""


def estimated_seconds(config: RunConfig, *, classes: int, train: int, validation: int) -> float:
    """Estimate the time of all epochs, in seconds; loading, pictures and the final evaluation come on top.

    Args:
        config: The run, whose `dataset.channels` is known.
        classes: Number of classes.
        train: Training images.
        validation: Validation images.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = min(config.dataset.batch_size, config.dataset.batch_size if device.type == "cuda" else BATCH_ON_CPU)
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, num_classes=classes, pixel_mean=0.5, pixel_std=0.25).to(device).train()
        images = torch.rand(batch, *config.dataset.image_shape, device=device)
        seconds = [_step_seconds(model, images)]
        while len(seconds) < STEPS and sum(seconds) < ENOUGH:
            seconds.append(_step_seconds(model, images))
    steps = ceil(train / config.dataset.batch_size) * config.dataset.batch_size / batch
    return config.training.epochs * min(seconds) * steps * (1 + EVALUATION * validation / train)


def _step_seconds(model: torch.nn.Module, images: torch.Tensor) -> float:
    start = time.perf_counter()
    model.zero_grad(set_to_none=True)
    outputs = model(images)
    torch.stack([output.float().square().mean() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
