"""Networks of timm: loaded by name with their weights, or rebuilt without them.

The library is imported only if one of its models is needed.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.pretrained.backbone import (
    Backbone,
    BackboneDescription,
    BackboneDownloadError,
    BackboneError,
    first_line,
)
from triptych.models.pretrained.hugging_face_errors import UNREACHABLE, classes_behind


class TimmNetwork(nn.Module):
    """A model of timm without its classifier: pooled features, normalised, because heads expect deviation 1.

    Args:
        model: A model created with `num_classes=0`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, K, h, w) to features (B, F)."""
        pooled: Tensor = self.model(images).flatten(1)
        return F.layer_norm(pooled, pooled.shape[1:])


def fetch(name: str) -> Backbone:
    """Read a model with its weights, which timm downloads to its own cache.

    Raises:
        BackboneError: The library is not installed, has no such model, or has no weights for it.
        BackboneDownloadError: It could not be downloaded.
    """
    timm = _library()
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.partition('.')[0]}*")[:3]
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise BackboneError(f"expected the name of a model of timm, got {name!r}{meant}")
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:
        # Errors of the network, the hub, the disk or the file, raised by several libraries.
        if isinstance(error, OSError) or classes_behind(error) & UNREACHABLE:
            raise BackboneDownloadError(
                f"the weights of {name} could not be downloaded ({first_line(error)}). Check the network, or copy "
                "timm's cache from a machine that has them"
            ) from error
        raise BackboneError(
            f"expected a model of timm with pretrained weights, got {name}: {first_line(error)}"
        ) from error
    data = timm.data.resolve_model_data_config(model)
    channels, height, width = data["input_size"]
    description = BackboneDescription(
        source=f"timm:{name}",
        config={"name": name, "timm_version": timm.__version__},
        image_size=(height, width),
        channels=channels,
        image_mean=tuple(data["mean"]),
        image_std=tuple(data["std"]),
    )
    return Backbone(TimmNetwork(model), description)


def rebuild(description: BackboneDescription) -> nn.Module:
    """Build a described model with random weights; nothing is downloaded.

    Raises:
        BackboneError: The library is not installed, or no longer has the model.
    """
    timm = _library()
    name = description.config.get("name")
    if not timm.is_model(name):
        raise BackboneError(
            f"expected a model that timm {timm.__version__} knows, got {name!r}. Install the version that the run was "
            f"trained with: {description.config.get('timm_version')}"
        )
    return TimmNetwork(timm.create_model(name, pretrained=False, num_classes=0))


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import timm
        import timm.data
    except (ImportError, RuntimeError) as error:  # RuntimeError: its torchvision belongs to another PyTorch version
        raise BackboneError(
            f"timm: expected the library timm, which cannot be imported ({error}). Install it beside the torchvision "
            "of your PyTorch (pip install timm), or take a model of transformers, which needs neither: hf:<name>"
        ) from error
    return timm
