"""The figures of training, measured on a split: as validation measures them, and by the formulas."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from triptych.config.schema import RunConfig
from triptych.data.builder import load_dataset
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.losses import training_figures
from triptych.losses.builder import build_loss
from triptych.models.builder import build_model

SIZES: dict[str, Any] = {"patch_size": 4, "embed_dim": 16, "num_heads": 2, "num_layers": 1}
SIZES |= {"latent_dim": 4, "embedding_dim": 8, "decoder_dim": 4}


@pytest.fixture(scope="module")
def prepare() -> Callable[..., tuple[RunConfig, ImageDataModule, nn.Module]]:
    def build(pad: int = 0, **training: Any) -> tuple[RunConfig, ImageDataModule, nn.Module]:
        values = {"dataset": {"name": "digits", "batch_size": 50, "pad": pad}, "model": SIZES, "training": training}
        config = RunConfig.model_validate(values)
        data = ImageDataModule(config, load_dataset("digits"))
        torch.manual_seed(0)
        return config, data, build_model(config, num_classes=10, pixel_mean=0.3, pixel_std=0.4).eval()

    return build


def figures(config: RunConfig, data: ImageDataModule, model: nn.Module) -> dict[str, float]:
    return training_figures(
        model, build_loss(config), data.validation, batch_size=50, seed=config.training.seed, pad=config.dataset.pad
    )


@pytest.mark.parametrize("pad", [0, 4])
def test_terms_that_are_means_over_images_follow_their_formulas(prepare, pad: int) -> None:
    config, data, model = prepare(pad, reconstruction_loss="mse", kl_weight=0.001)
    found = figures(config, data, model)
    images, labels = data.validation.images[:].float() / 255, data.validation.labels

    with torch.no_grad():
        output = model(images)
    inner = (output.reconstruction - images)[:, :, pad : pad + 8, pad : pad + 8]
    kl = 0.5 * (output.mean**2 + output.log_variance.exp() - 1 - output.log_variance).sum(1)
    assert found["accuracy"] == float((output.logits.argmax(1) == labels).double().mean())
    assert found["classification"] == pytest.approx(float(nn.functional.cross_entropy(output.logits, labels)), rel=1e-5)
    assert found["reconstruction"] == pytest.approx(float((output.reconstruction - images).square().mean()), rel=1e-5)
    assert found["mse"] == pytest.approx(float(inner.square().mean()), rel=1e-5)
    assert found["kl"] == pytest.approx(float(kl.mean()), rel=1e-5)
    total = found["triplet"] + found["classification"] + 0.3 * found["reconstruction"] + 0.001 * found["kl"]
    assert found["loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("mining", ["random", "semihard", "hard"])
def test_the_triplets_are_those_of_the_validation_batches(prepare, mining: str) -> None:
    config, data, model = prepare(triplet_mining=mining)
    loss, total = build_loss(config), 0.0

    for batch in data.val_dataloader():
        images = [part for part in (batch.anchor, batch.positive, batch.negative) if part is not None]
        with torch.no_grad():
            embedding = model(torch.cat(images)).embedding.split(len(batch.label))
        inputs = embedding if mining == "random" else (*embedding, batch.label)
        total += float(loss.losses["triplet"](*inputs)) * len(batch.label)

    assert figures(config, data, model)["triplet"] == pytest.approx(total / len(data.validation), rel=1e-4)


def test_images_sorted_by_class_give_the_triplet_loss_of_shuffled_ones(prepare) -> None:
    config, data, model = prepare(triplet_mining="all")
    shuffled = figures(config, data, model)["triplet"]
    data.validation = data.validation.select(data.validation.labels.argsort())
    # In file order a batch of 50 would hold four classes of ten.
    assert figures(config, data, model)["triplet"] == pytest.approx(shuffled, rel=0.05)
