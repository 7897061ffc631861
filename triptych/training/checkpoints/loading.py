"""Trained models back from disk: Lightning checkpoints by their own type, and legacy `.pth` files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, overload

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from triptych.config.schema import RunConfig
from triptych.data.known.datasets import DATASETS
from triptych.errors import CheckpointError, ConfigError
from triptych.models.backbone import Backbone, BackboneDescription
from triptych.models.builder import build_model, rebuild_backbone
from triptych.training.checkpoints.checkpoint_io import read_checkpoint
from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning, TaskModule

Module = TypeVar("Module", bound=TaskModule)

HYPER_PARAMETERS = ("config", "classes", "pixel_mean", "pixel_std")
"""What training saves beside the weights, from which the module is built again; "backbone", too, where it has one."""


@overload
def load_lightning_model(path: str | Path) -> TaskModule: ...
@overload
def load_lightning_model(path: str | Path, cls: type[Module]) -> Module: ...
def load_lightning_model(path: str | Path, cls: type[TaskModule] | None = None) -> TaskModule:
    """Load a checkpoint that training wrote, ready to evaluate, on the CPU.

    Args:
        path: A `.ckpt` file.
        cls: The class that is expected; found in the checkpoint where it is not given.

    Raises:
        CheckpointError: The file is missing, damaged, holds code, is none of Triptych's, or of another class.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path)
    parameters, weights = checkpoint.get("hyper_parameters"), checkpoint.get("state_dict")
    if not (isinstance(parameters, Mapping) and parameters.keys() >= set(HYPER_PARAMETERS) and _are_weights(weights)):
        raise CheckpointError(
            f"{path}: expected a checkpoint of Triptych's training, with 'state_dict' and its config in "
            f"'hyper_parameters'; got one with {_listed(checkpoint)}. For a legacy .pth file use load_model."
        )
    config = _config(parameters["config"], path)
    _check_backbone(config, parameters, path)
    found = MultiTaskImageTransformerLightning if config.training.use_multitask_loss else ImageTransformerLightning
    if cls is not None and not issubclass(found, cls):
        raise CheckpointError(
            f"{path}: expected a {cls.__name__}, got a {found.__name__}. Load it with cls={found.__name__}, or without "
            "cls."
        )
    try:
        module = found(
            config,
            classes=parameters["classes"],
            pixel_mean=parameters["pixel_mean"],
            pixel_std=parameters["pixel_std"],
            backbone=parameters.get("backbone"),
        )
    except ConfigError as error:
        raise CheckpointError(f"{path}: its model cannot be built here. {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its hyper-parameters make no model: {error}. Copy the file again.") from error
    _load_weights(module, weights, path)
    return module.eval()


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Load the model of a legacy `.pth` file, or of a checkpoint.

    A legacy file is a dict with `model_state_dict` or `state_dict`, and `config` in the sections of the YAML file; the
    names of the weights may begin with `model.`. `classes`, `pixel_mean` and `pixel_std` are taken from it where it has
    them; the classes are otherwise those of the config's data set.

    Returns:
        The model, evaluating, on `device`; and the whole checkpoint.

    Raises:
        CheckpointError: The file is missing, damaged, holds code, or its weights do not fit its config.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path, map_location=device)
    weights = checkpoint.get("model_state_dict", checkpoint.get("state_dict"))
    described = checkpoint.get("hyper_parameters", checkpoint)
    if not (isinstance(described, Mapping) and "config" in described and _are_weights(weights)):
        raise CheckpointError(
            f"{path}: expected a dict with 'model_state_dict' or 'state_dict', and 'config'; got one with "
            f"{_listed(checkpoint)}. Save the weights and the config together."
        )
    config = _config(described["config"], path)
    _check_backbone(config, described, path)
    channels = config.dataset.image_shape[0]
    try:
        model = build_model(
            config,
            num_classes=len(described["classes"] if "classes" in described else _known_classes(config, path)),
            pixel_mean=described.get("pixel_mean", (0.0,) * channels),
            pixel_std=described.get("pixel_std", (1.0,) * channels),
            backbone=_backbone(described),
        )
    except ConfigError as error:
        raise CheckpointError(f"{path}: its model cannot be built here. {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: what it says of its model makes none: {error}. Copy the file again.") from error
    _load_weights(model, {name.removeprefix("model."): value for name, value in weights.items()}, path)
    return model.to(device).eval(), checkpoint


def _known_classes(config: RunConfig, path: Path) -> tuple[str, ...]:
    if config.dataset.name not in DATASETS:
        raise CheckpointError(f"{path}: expected the names of its classes as 'classes', got none. Save them with it.")
    return DATASETS[config.dataset.name].classes


def _check_backbone(config: RunConfig, described: Mapping[str, Any], path: Path) -> None:
    """Refuse to fetch a pretrained encoder anew: its weights are in the checkpoint, and so must be what it is."""
    if config.model.backbone is not None and not isinstance(described.get("backbone"), Mapping):
        raise CheckpointError(
            f"{path}: expected the description of its pretrained encoder ({config.model.backbone}) as 'backbone', got "
            "none. Use a checkpoint as training wrote it."
        )


def _backbone(described: Mapping[str, Any]) -> Backbone | None:
    values = described.get("backbone")
    return None if values is None else rebuild_backbone(BackboneDescription.from_plain(values))


def _are_weights(weights: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(weights, Mapping) and all(isinstance(value, Tensor) for value in weights.values())


def _listed(checkpoint: Mapping[str, Any]) -> str:
    return f"the keys {', '.join(map(repr, checkpoint))}" if checkpoint else "nothing in it"


def _config(values: object, path: Path) -> RunConfig:
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        listed = "; ".join(mistakes).replace("\n", "; ")
        raise CheckpointError(
            f"{path}: the config in the checkpoint is not one that this version reads: {listed}. Load it with the "
            "version that wrote it."
        ) from error


def _load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        details = " ".join(str(error).split())[:400]
        raise CheckpointError(
            f"{path}: the weights do not fit the model that its config describes. {details}. Use the weights and the "
            "config of one and the same run."
        ) from error
