"""Loads checkpoints of training as Lightning modules."""

from pathlib import Path
from typing import TypeVar, overload

from torch import nn

from triptych.artefacts.checkpoint import building, described, listed_keys, load_weights, read_checkpoint
from triptych.errors import CheckpointError
from triptych.training.building import assemble
from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning, TaskModule

Module = TypeVar("Module", bound=TaskModule)


@overload
def load_lightning_model(path: str | Path, *, encoder: nn.Module | None = None) -> TaskModule: ...
@overload
def load_lightning_model(path: str | Path, cls: type[Module], *, encoder: nn.Module | None = None) -> Module: ...
def load_lightning_model(
    path: str | Path, cls: type[TaskModule] | None = None, *, encoder: nn.Module | None = None
) -> TaskModule:
    """Load a checkpoint of training in evaluation mode, on the CPU.

    Args:
        path: A `.ckpt` file.
        cls: The expected class; None takes the class that the checkpoint names.
        encoder: The module that the model was trained with, if it was passed to `triptych.train`.

    Raises:
        CheckpointError: The file is missing, damaged, contains code, was not written by training, or has another class.

    Example:
        >>> module = load_lightning_model("best.ckpt")
        >>> type(module).__name__, module.classes
        ('MultiTaskImageTransformerLightning', ('cat', 'dog'))
    """
    path = Path(path)
    checkpoint = read_checkpoint(path)
    if "state_dict" not in checkpoint or not isinstance(checkpoint.get("hyper_parameters"), dict):
        raise CheckpointError(
            f"{path}: expected a checkpoint of Triptych's training, with 'state_dict' and its config in "
            f"'hyper_parameters'; got one with {listed_keys(checkpoint)}. For a legacy .pth file use load_model."
        )
    saved = described(checkpoint, path)
    found = (
        MultiTaskImageTransformerLightning if saved.config.training.use_multitask_loss else ImageTransformerLightning
    )
    if cls is not None and not issubclass(found, cls):
        raise CheckpointError(
            f"{path}: expected a {cls.__name__}, got a {found.__name__}. Load it with cls={found.__name__}, or without "
            "cls."
        )
    with building(path):
        module = assemble(
            saved.config,
            classes=saved.classes,
            pixel_mean=saved.pixel_mean,
            pixel_std=saved.pixel_std,
            backbone=saved.backbone,
            encoder=encoder,
        )
    load_weights(module, checkpoint["state_dict"], path)
    return module.eval()
