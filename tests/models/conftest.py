"""Small models for the tests, so that each test states only what it changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from triptych.models import Encoder, ImageEncoder, ImageTransformer, MultiTaskImageTransformer

ENCODER: dict[str, Any] = {
    "image_size": (8, 8),
    "in_channels": 1,
    "patch_size": 2,
    "patch_embedding": "convolutional",
    "embed_dim": 16,
    "num_heads": 2,
    "num_layers": 2,
    "mlp_ratio": 2.0,
    "dropout": 0.0,
    "activation_checkpointing": False,
}
SIMPLE: dict[str, Any] = {
    "image_size": (8, 8),
    "in_channels": 1,
    "num_classes": 5,
    "embedding_dim": 6,
    "pixel_mean": 0.3,
    "pixel_std": 0.4,
}
MULTITASK: dict[str, Any] = {**SIMPLE, "latent_dim": 4, "decoder_dim": 8, "principal_components": 3}


def make(model: Callable[..., Any], sizes: dict[str, Any], encoder: Encoder | None, changes: dict[str, Any]) -> Any:
    """Build a model with its encoder; a change goes to whichever takes it, or to both."""
    assert changes.keys() <= {*ENCODER, *sizes}
    of_encoder, of_model = (
        base | {name: changes[name] for name in base.keys() & changes.keys()} for base in (ENCODER, sizes)
    )
    return model(encoder or ImageEncoder(**of_encoder), **of_model)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def encoder_sizes() -> dict[str, Any]:
    return dict(ENCODER)


@pytest.fixture
def make_multitask() -> Callable[..., MultiTaskImageTransformer]:
    return lambda encoder=None, **changes: make(MultiTaskImageTransformer, MULTITASK, encoder, changes)


@pytest.fixture
def make_simple() -> Callable[..., ImageTransformer]:
    return lambda encoder=None, **changes: make(ImageTransformer, SIMPLE, encoder, changes)
