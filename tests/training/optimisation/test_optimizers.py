"""Which parameters learn how fast, and by which optimiser."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.training.building import assemble
from triptych.training.modules import TaskModule
from triptych.training.optimisation.optimizers import build_optimizer, rated_layers

Prepare = Callable[..., TaskModule]


@pytest.fixture
def prepare(tiny_config: Callable[..., RunConfig]) -> Prepare:
    """Build a training module on digits, with changes to the tiny config."""

    def build(*changes: str) -> TaskModule:
        config = tiny_config(*changes)
        return assemble(config, classes=tuple("0123456789"), pixel_mean=(0.3,), pixel_std=(0.4,))

    return build


def config_of(module: TaskModule) -> RunConfig:
    return RunConfig.model_validate(module.hparams["config"])


@pytest.mark.parametrize("mode", ["true", "false"])
def test_muon_gets_the_encoders_hidden_weights_and_adamw_everything_else(prepare: Prepare, mode: str) -> None:
    module = prepare(f"training.use_multitask_loss={mode}")
    names = {parameter: name for name, parameter in module.model.named_parameters()}

    groups = build_optimizer(module, module.model.encoder, config_of(module)).param_groups

    found = {group["name"]: {names[parameter] for parameter in group["params"]} for group in groups}
    assert found["muon"] == {
        f"encoder.blocks.0.{part}.weight"
        for part in ("attention.query_key_value", "attention.output", "mlp.hidden", "mlp.output")
    } | {f"encoder.patch_embedding.stages.{stage}.{layer}.weight" for stage in (0, 1) for layer in ("enter", "refine")}
    assert sorted(name for group in found.values() for name in group) == sorted(names.values())
    assert all(module.model.get_parameter(name).ndim < 2 for name in found["adamw_undecayed"])
    assert {group["name"]: group["lr"] for group in groups} == {"muon": 0.05, "adamw": 2e-3, "adamw_undecayed": 2e-3}
    assert {group["name"]: group["weight_decay"] for group in groups} == {
        "muon": 0.01,
        "adamw": 0.01,
        "adamw_undecayed": 0.0,
    }


def test_adamw_takes_all_parameters_on_request(prepare: Prepare) -> None:
    module = prepare("training.optimizer=adamw")

    groups = build_optimizer(module, module.model.encoder, config_of(module)).param_groups

    assert [group["name"] for group in groups] == ["adamw", "adamw_undecayed"]
    assert sum(len(group["params"]) for group in groups) == len(list(module.model.parameters()))


# Pretrained encoders


def groups_of(module: TaskModule) -> dict[str, tuple[float, float, set[str]]]:
    """Learning rate, weight decay and the names of the parameters of each group."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    groups = build_optimizer(module, module.model.encoder, config_of(module)).param_groups
    return {
        group["name"]: (group["lr"], group["weight_decay"], {names[parameter] for parameter in group["params"]})
        for group in groups
    }


@pytest.fixture
def on_vit(prepare: Prepare, vision_model: Callable[[str], Path]) -> Prepare:
    return lambda *changes: prepare(f"model.backbone=hf:{vision_model('vit')}", *changes)


def test_a_frozen_encoder_is_no_part_of_the_optimiser(on_vit: Prepare) -> None:
    groups = groups_of(on_vit())

    assert set(groups) == {"adamw", "adamw_undecayed"}
    assert not any(".encoder." in name for _, _, names in groups.values() for name in names)


@pytest.mark.parametrize(("mode", "rate"), [("finetune", 5e-5), ("lora", 5e-4)])
def test_a_pretrained_encoder_learns_by_adamw_at_a_rate_of_its_own(on_vit: Prepare, mode: str, rate: float) -> None:
    groups = groups_of(on_vit(f"model.backbone_mode={mode}"))

    backbone = {name: group for name, group in groups.items() if name.startswith("backbone")}
    assert {group[0] for group in backbone.values()} == {rate}
    assert groups["adamw"][0] == 2e-3
    assert backbone["backbone"][1] == 0.01
    assert all(".encoder." in name for _, _, names in backbone.values() for name in names)
    assert "muon" not in groups
    assert all(decay == 0 for name, (_, decay, _) in groups.items() if name.endswith("undecayed"))


def test_the_rate_of_a_pretrained_encoder_can_be_set(on_vit: Prepare) -> None:
    groups = groups_of(on_vit("model.backbone_mode=finetune", "training.backbone_learning_rate=0.003"))

    assert groups["backbone"][0] == groups["backbone_undecayed"][0] == 0.003


def test_each_layer_learns_more_slowly_than_the_one_above_it(on_vit: Prepare) -> None:
    groups = groups_of(
        on_vit("model.backbone_mode=finetune", "training.layer_decay=0.5", "training.backbone_learning_rate=0.004")
    )

    rates = {name: rate for name, (rate, _, _) in groups.items() if name.startswith("backbone")}
    assert rates["backbone_1"] == rates["backbone_1_undecayed"] == 0.001  # the patch embedding
    assert rates["backbone_2"] == rates["backbone_2_undecayed"] == 0.002
    assert rates["backbone_3"] == rates["backbone_3_undecayed"] == 0.004
    assert any("projection" in name for name in groups["backbone_1"][2])
    assert any(name.endswith("layernorm.weight") for name in groups["backbone_3_undecayed"][2])


@pytest.mark.parametrize("mode", ["finetune", "lora"])
def test_every_parameter_that_learns_is_in_one_group(on_vit: Prepare, mode: str) -> None:
    module = on_vit(f"model.backbone_mode={mode}")

    found = [name for _, _, names in groups_of(module).values() for name in names]

    assert sorted(found) == sorted(name for name, parameter in module.named_parameters() if parameter.requires_grad)


def test_layers_without_a_decay_are_one() -> None:
    first, second = torch.zeros(2, 2), torch.zeros(3)

    assert rated_layers([[first], [second]], learning_rate=0.1, decay=1.0) == [("backbone", [first, second], 0.1)]
    assert rated_layers([], learning_rate=0.1, decay=1.0) == rated_layers([], learning_rate=0.1, decay=0.5) == []
