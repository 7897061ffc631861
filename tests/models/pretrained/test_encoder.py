"""A network that was trained elsewhere, as an encoder: what it is shown, and what of it learns."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.pretrained import hugging_face
from triptych.models.pretrained.backbone import BackboneError
from triptych.models.pretrained.encoder import PretrainedEncoder


class Network(nn.Module):
    """Small, with blocks, dropout, statistics that move, and a parameter that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.GELU()) for _ in range(3))
        self.mask_token = nn.Parameter(torch.zeros(8))
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images.detach())
        features = self.norm(self.stem(images)).mean((2, 3))
        for block in self.blocks:
            features = features + block(features)
        return features


SIZES: dict[str, Any] = {
    "image_size": (16, 24),
    "channels": 3,
    "in_channels": 3,
    "image_mean": (0.5, 0.4, 0.3),
    "image_std": (0.2, 0.3, 0.4),
    "pixel_mean": (0.1, 0.2, 0.3),
    "pixel_std": (0.6, 0.5, 0.4),
    "frozen": True,
}


@pytest.fixture
def make() -> Callable[..., PretrainedEncoder]:
    return lambda **changes: PretrainedEncoder(Network(), **{**SIZES, **changes})


def column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(-1, 1, 1)


def test_the_network_sees_pixels_as_it_was_trained_to(make: Callable[..., PretrainedEncoder]) -> None:
    encoder = make()
    pixels = torch.rand(2, 3, 16, 24)

    features = encoder((pixels - column(SIZES["pixel_mean"])) / column(SIZES["pixel_std"]))

    assert features.shape == (2, encoder.output_dim) == (2, 8)
    expected = (pixels - column(SIZES["image_mean"])) / column(SIZES["image_std"])
    torch.testing.assert_close(encoder.network.shown[-1], expected)


def test_grey_images_are_repeated_and_normalised_channel_by_channel(make: Callable[..., PretrainedEncoder]) -> None:
    encoder = make(in_channels=1, pixel_mean=0.1, pixel_std=0.0)  # a deviation of zero counts as one, as in the model
    pixels = torch.rand(2, 1, 16, 24)

    encoder(pixels - 0.1)

    expected = (pixels.expand(-1, 3, -1, -1) - column(SIZES["image_mean"])) / column(SIZES["image_std"])
    torch.testing.assert_close(encoder.network.shown[-1], expected)


@pytest.mark.parametrize("size", [(8, 8), (40, 60), (16, 30)])
def test_images_of_another_size_are_resized(make: Callable[..., PretrainedEncoder], size: tuple[int, int]) -> None:
    encoder = make(pixel_mean=0.0, pixel_std=1.0, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)
    pixels = torch.rand(2, 3, *size)

    encoder(pixels)

    shown = encoder.network.shown[-1]
    torch.testing.assert_close(shown, F.interpolate(pixels, (16, 24), mode="bilinear", antialias=True))


@pytest.mark.parametrize("channels", [2, 4, 16])
def test_other_channels_are_rejected(make: Callable[..., PretrainedEncoder], channels: int) -> None:
    with pytest.raises(BackboneError, match=f"expected images of 3 channels.*got {channels} channels"):
        make(in_channels=channels, pixel_mean=0.0, pixel_std=1.0)


def test_a_frozen_network_takes_no_gradient_and_never_trains(make: Callable[..., PretrainedEncoder]) -> None:
    encoder = make().train()
    images = torch.randn(4, 3, 16, 24)
    state = copy.deepcopy(encoder.state_dict())

    features = encoder(images)

    assert encoder.is_frozen
    assert encoder.pretrained_layers() == []
    assert not features.requires_grad
    assert torch.equal(features, encoder.eval()(images))  # nothing is dropped
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())  # no statistics move


def test_a_fine_tuned_network_learns_all_but_what_no_gradient_reaches(make: Callable[..., PretrainedEncoder]) -> None:
    encoder = make(frozen=False).train()
    encoder(torch.randn(4, 3, 16, 24)).square().sum().backward()

    without = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]

    assert without == ["network.mask_token"]
    assert not encoder.network.mask_token.requires_grad
    assert [len(layer) for layer in encoder.pretrained_layers()] == [4, 2, 2, 2]
    assert not encoder.is_frozen


def test_what_was_frozen_before_stays_frozen() -> None:
    network = Network()
    network.stem.requires_grad_(False)

    encoder = PretrainedEncoder(network, **{**SIZES, "frozen": False})

    assert not any(parameter.requires_grad for parameter in network.stem.parameters())
    assert len(encoder.pretrained_layers()) == 4  # the norm, and three blocks


def test_recomputed_activations_give_the_same_gradients_with_dropout_too(
    make: Callable[..., PretrainedEncoder],
) -> None:
    images, gradients = torch.randn(4, 3, 16, 24), []
    kept = make(frozen=False)
    recomputing = make(frozen=False, activation_checkpointing=True)
    recomputing.load_state_dict(kept.state_dict())
    for encoder in (kept.train(), recomputing.train(), copy.deepcopy(recomputing)):
        encoder.zero_grad()
        torch.manual_seed(1)
        encoder(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters() if parameter.requires_grad])
    for ours, again, copied in zip(*gradients, strict=True):
        assert torch.equal(ours, again)
        assert torch.equal(ours, copied)
    with torch.no_grad():
        assert torch.equal(kept.eval()(images), recomputing.eval()(images))


@pytest.mark.parametrize("kind", ["vit", "dinov3", "siglip", "convnext", "swin"])
def test_recomputed_activations_of_known_networks_give_the_same_gradients(
    vision_model: Callable[[str], Path], kind: str
) -> None:
    gradients, counts = [], []
    kept: list[Tensor] = []
    for recomputing in (False, True):
        network, description = hugging_face.fetch(str(vision_model(kind)))
        sizes = {**SIZES, "image_size": description.image_size, "frozen": False}
        encoder = PretrainedEncoder(network, **sizes, activation_checkpointing=recomputing)
        images = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
        torch.manual_seed(1)  # DINOv3 moves its positions at random
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor
        ):
            features = encoder(images)
        counts.append(len(kept))
        features.square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters() if parameter.requires_grad])

    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert counts[1] < counts[0] / 2


def test_it_has_no_hidden_weights_for_muon_and_no_attention_to_show(make: Callable[..., PretrainedEncoder]) -> None:
    encoder = make(frozen=False)

    assert encoder.hidden_weights() == []
    assert encoder.attention_maps(torch.randn(1, 3, 16, 24)) is None


class Answer(nn.Module):
    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer, self.weight = answer, nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda images: {}["tokens"], r"of 16x24 pixels and 3 channels; got one that does not \('tokens'\)"),
        (lambda images, sizes: images, "got one that does not .*missing 1 required positional argument: 'sizes'"),
        (lambda images: images, "one vector of features an image, got the shape"),
        (lambda images: torch.rand(len(images), 4), "one that is random when it evaluates"),
    ],
)
def test_what_is_no_encoder_is_rejected(answer: Callable[[Tensor], Tensor], expected: str) -> None:
    with pytest.raises(BackboneError, match=expected):
        PretrainedEncoder(Answer(answer), **SIZES)


def test_an_encoder_that_overflows_is_not_taken_for_a_random_one() -> None:
    assert PretrainedEncoder(Answer(lambda images: images.flatten(1)[:, :4] / 0), **SIZES).output_dim == 4


def test_its_normalisation_travels_in_the_state(make: Callable[..., PretrainedEncoder]) -> None:
    trained, other = make().eval(), make(pixel_mean=0.0, pixel_std=1.0, image_std=(1.0, 1.0, 1.0)).eval()
    other.load_state_dict(trained.state_dict())
    images = torch.randn(2, 3, 16, 24)

    assert torch.equal(other(images), trained(images))
