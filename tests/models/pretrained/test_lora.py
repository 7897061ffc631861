"""LoRA: what is added, where, and that it begins as nothing."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.models.pretrained import hugging_face
from triptych.models.pretrained.backbone import BackboneError
from triptych.models.pretrained.layers import linear_layers_of
from triptych.models.pretrained.lora import add_lora


@pytest.fixture
def network(vision_model: Callable[[str], Path]) -> nn.Module:
    return hugging_face.fetch(str(vision_model("vit"))).network.eval()


def one_of(network: nn.Module) -> str:
    """The end of the name of a layer that every block has."""
    return linear_layers_of(network)[0].rpartition(".")[2]


def learning(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_at_the_start_the_networks_outputs_are_unchanged(network: nn.Module) -> None:
    images = torch.randn(2, 3, 32, 32)
    before = network(images)

    add_lora(network, rank=3)

    assert torch.equal(network(images), before)


def test_every_linear_layer_of_the_blocks_gets_two_narrow_matrices(network: nn.Module) -> None:
    linear = [name for name, module in network.named_modules() if type(module) is nn.Linear]

    add_lora(network, rank=3)

    assert len(learning(network)) == 2 * len(linear) == 2 * 12
    assert all(min(parameter.shape) == 3 for parameter in learning(network).values())


def test_what_it_learns_is_added_twice_as_strongly_whatever_the_rank(network: nn.Module) -> None:
    add_lora(network, rank=4, targets=[one_of(network)])
    name = next(name for name, module in network.named_modules() if hasattr(module, "base_layer"))
    layer, tokens = network.get_submodule(name), torch.randn(5, 16)
    low, high = (layer.get_submodule(f"lora_{part}.default").weight for part in "AB")
    nn.init.normal_(high)

    expected = layer.base_layer(tokens) + 2 * tokens @ low.T @ high.T

    torch.testing.assert_close(layer(tokens), expected)
    assert len(learning(network)) == 4  # of two blocks


def test_layers_that_are_not_there_are_reported_with_those_that_are(network: nn.Module) -> None:
    for targets in (["nothing"], [one_of(network), "nothing"]):
        with pytest.raises(BackboneError, match=f"got nothing. Linear layers in its blocks: .*{one_of(network)}"):
            add_lora(network, rank=2, targets=targets)


def test_a_network_without_linear_layers_is_reported(vision_model: Callable[[str], Path]) -> None:
    network = hugging_face.fetch(str(vision_model("resnet"))).network

    with pytest.raises(BackboneError, match="none; use backbone_mode finetune"):
        add_lora(network, rank=2)


def test_layers_that_cannot_be_adapted_are_reported(network: nn.Module) -> None:
    with pytest.raises(BackboneError, match="expected layers that LoRA can add to"):
        add_lora(network, rank=2, targets=["layernorm_before"])


def test_a_missing_library_is_reported_with_the_command_that_brings_it(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)

    with pytest.raises(BackboneError, match=r"library peft.*pip install 'triptych\[pretrained\]'"):
        add_lora(network, rank=2)
