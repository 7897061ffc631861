"""Your own encoder: what a model needs of it, and what it may omit."""

import pytest
import torch
from torch import Tensor, nn

from triptych.models import Encoder, model_summary


class Mean(Encoder):
    """The least that can be an encoder."""

    output_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None] * self.scale


@pytest.mark.parametrize("kind", ["make_simple", "make_multitask"])
def test_both_models_stand_on_any_encoder(request: pytest.FixtureRequest, kind: str) -> None:
    model = request.getfixturevalue(kind)(Mean())
    images = torch.rand(4, 1, 8, 8)

    output = model(images)
    output.logits.sum().backward()

    assert output.embedding.shape == (4, 6)
    assert model.encoder.scale.grad is not None
    assert model_summary(model).total.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_what_it_omits_is_not_invented() -> None:
    encoder = Mean()

    assert encoder.hidden_weights() == []
    assert encoder.pretrained_layers() == []
    assert encoder.attention_maps(torch.zeros(1, 1, 8, 8)) is None


def test_it_is_frozen_when_nothing_in_it_learns() -> None:
    assert not Mean().is_frozen
    assert Mean().requires_grad_(False).is_frozen


def test_an_encoder_without_a_forward_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Encoder()
