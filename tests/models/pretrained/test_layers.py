"""The layers of a network in the order of depth."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.models.pretrained import hugging_face
from triptych.models.pretrained.layers import blocks_of, layers_of, linear_layers_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 4)
        self.both = nn.Sequential(nn.Linear(4, 4), nn.GELU())


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 2), nn.GELU(), nn.Conv2d(4, 4, 1))
        self.encoder = nn.Module()
        self.encoder.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm, self.top = nn.LayerNorm(4), nn.Linear(4, 2)


class Stage(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.narrow, self.blocks = nn.Conv2d(4, 4, 2), nn.Sequential(*(Block() for _ in range(count)))


def test_repeated_blocks_are_found_and_nothing_else() -> None:
    assert list(blocks_of(Network())) == ["encoder.blocks.0", "encoder.blocks.1", "encoder.blocks.2"]
    assert list(blocks_of(nn.Linear(3, 3))) == []


def test_the_blocks_of_stages_are_listed_one_by_one_and_a_stage_of_one_is_a_block() -> None:
    staged = nn.ModuleList([Stage(2), Stage(1), Stage(3)])

    assert list(blocks_of(nn.Sequential(staged, nn.Linear(4, 2)))) == [
        *("0.0.blocks.0", "0.0.blocks.1", "0.1"),
        *("0.2.blocks.0", "0.2.blocks.1", "0.2.blocks.2"),
    ]


def test_layers_run_from_the_stem_to_the_top_and_hold_every_parameter_once() -> None:
    network = Network()
    names = {parameter: name for name, parameter in network.named_parameters()}

    layers = [[names[parameter] for parameter in layer] for layer in layers_of(network)]

    assert [layer[0] for layer in layers] == ["stem.0.weight", *(f"encoder.blocks.{n}.first.weight" for n in range(3))]
    assert {"norm.weight", "top.bias"} <= set(layers[-1])
    assert sorted(name for layer in layers for name in layer) == sorted(names.values())


def test_what_does_not_learn_is_in_no_layer() -> None:
    network = Network()
    network.stem.requires_grad_(False)
    network.encoder.blocks[1].requires_grad_(False)

    assert len(layers_of(network)) == 2
    assert layers_of(network.requires_grad_(False)) == []


def test_linear_layers_are_those_inside_blocks() -> None:
    network = Network()
    network.encoder.blocks[0].attention = nn.MultiheadAttention(4, 2)

    found = linear_layers_of(network)

    assert found == [f"encoder.blocks.{n}.{name}" for n in range(3) for name in ("first", "second", "both.0")]
    assert all(type(network.get_submodule(name)) is nn.Linear for name in found)


@pytest.mark.parametrize(("kind", "count"), [("vit", 2), ("dinov3", 2), ("siglip", 2), ("convnext", 5), ("swin", 3)])
def test_the_blocks_of_known_networks_are_found(vision_model: Callable[[str], Path], kind: str, count: int) -> None:
    network, _ = hugging_face.fetch(str(vision_model(kind)))

    assert len(blocks_of(network)) == count
    layers = layers_of(network)
    assert len(layers) == count + 1
    kernels = [parameter for parameter in layers[0] if parameter.ndim == 4]
    assert kernels[0].shape[1] == 3  # the first layer sees the colours
    assert sum(map(len, layers)) == len(list(network.parameters()))
    assert len({id(parameter) for layer in layers for parameter in layer}) == sum(map(len, layers))
    assert torch.is_tensor(layers[-1][0])
