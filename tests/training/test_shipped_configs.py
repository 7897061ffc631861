"""Every configuration that is shipped takes a step, on the CPU too, whatever it is meant for."""

from pathlib import Path

import pytest
import torch

from triptych.config import load_config
from triptych.config.datasets import KNOWN_DATASETS
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.models import model_summary
from triptych.training.building import build_module
from triptych.training.optimisation.optimizers import build_optimizer

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
every_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def images(path: Path) -> ImageDataModule:
    """Forty noisy images of the shape that the config's data set has, in batches of four."""
    config = load_config(path, ["dataset.batch_size=4", "training.accelerator=cpu"])
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        0, 256, (40, *KNOWN_DATASETS[config.dataset.name].shape), dtype=torch.uint8, generator=generator
    )
    split = Split(pixels, torch.arange(40) % 2)
    return ImageDataModule(config, ImageData(split, split, ("a", "b"), "made up"))


@every_config
def test_a_shipped_config_takes_a_step_that_changes_every_parameter(path: Path) -> None:
    data = images(path)
    module = build_module(data.config, data).train()
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    optimizer = build_optimizer(module, module.model.encoder, data.config)

    for _ in range(2):  # what begins at zero passes gradients on from the second step
        optimizer.zero_grad()
        loss = module.measure(next(iter(data.train_dataloader()))).losses.total
        loss.backward()
        optimizer.step()

    assert loss.isfinite()
    unchanged = {name for name, parameter in module.named_parameters() if torch.equal(parameter, before[name])}
    assert unchanged == set()


@every_config
def test_the_decoder_of_a_shipped_config_costs_at_most_15_percent_of_the_encoder(path: Path) -> None:
    data = images(path)
    flops = {part.name: part.flops for part in model_summary(build_module(data.config, data).model).parts}
    assert flops["decoder"] + flops["components"] <= 0.15 * (flops["patch embedding"] + flops["encoder"])
