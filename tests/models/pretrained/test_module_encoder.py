"""A module of the user's as the encoder: its features are taken as they are, tokens are averaged."""

import pytest
import torch
from torch import nn

from triptych.models.pretrained.module_encoder import ModuleEncoder

SIZES = {"image_size": (8, 12), "in_channels": 3}


class Tokens(nn.Module):
    def forward(self, images):
        return images.flatten(2).transpose(1, 2)


def test_features_are_those_of_the_module():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 12, 7))
    images = torch.randn(4, 3, 8, 12)

    encoder = ModuleEncoder(module, **SIZES)

    assert encoder.output_dim == 7
    assert torch.equal(encoder(images), module(images))


def test_tokens_are_averaged():
    images = torch.randn(4, 3, 8, 12)

    encoder = ModuleEncoder(Tokens(), **SIZES)

    assert encoder.output_dim == 3
    torch.testing.assert_close(encoder(images), images.mean((2, 3)))


def test_measuring_changes_neither_mode_nor_statistics():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten())
    before = {name: value.clone() for name, value in module.state_dict().items()}

    ModuleEncoder(module, **SIZES)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    ModuleEncoder(module.eval(), **SIZES)
    assert not module.training


def test_a_lazy_module_learns_its_sizes():
    encoder = ModuleEncoder(nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), **SIZES)

    assert encoder.output_dim == 5


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(5, 5), r"encoder must map images of the shape \(2, 3, 8, 12\) to features, but it fails"),
        (nn.Identity(), r"features \(B, F\) or tokens \(B, N, F\), but of images .* it makes \(2, 3, 8, 12\)"),
        (nn.Flatten(0), r"it makes \(576,\)"),
        (nn.LSTM(12, 4), "it fails"),
    ],
)
def test_what_makes_no_features_is_rejected(module, message):
    with pytest.raises(ValueError, match=message):
        ModuleEncoder(module, **SIZES)
