"""Size of a model: parameters and FLOPs per image, by part."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from triptych.models.image_transformer import ImageTransformer
from triptych.models.multitask import MultiTaskImageTransformer
from triptych.models.vit.encoder import ImageEncoder

PARTS = {
    "patch embedding": "encoder.patch_embedding",
    "encoder": "encoder",
    "latent": "latent_head",
    "embedding head": "embedding_head",
    "classifier": "classification_head",
    "decoder": "decoder",
    "components": "components",
}
"""The modules of each part of a model; the encoder's row excludes its patch embedding."""


@dataclass(frozen=True)
class PartSummary:
    """One row of the table."""

    name: str
    parameters: int
    flops: int
    """Floating-point operations of a forward pass on one image; a multiply-add counts as two."""


@dataclass(frozen=True)
class ModelSummary:
    """Parameters and FLOPs of the parts, in the order of the data flow, and their total."""

    parts: tuple[PartSummary, ...]
    total: PartSummary

    def format(self) -> str:
        """Format the summary as a text table.

        Example:
            >>> part = PartSummary("encoder", parameters=1234, flops=5_600_000)
            >>> print(ModelSummary((part,), total=part).format())
            part                 parameters   MFLOPs/image
            encoder                   1,234          5.600
            encoder                   1,234          5.600
        """
        heading = f"{'part':<20}{'parameters':>11}{'MFLOPs/image':>15}"
        rows = [f"{row.name:<20}{row.parameters:>11,}{row.flops / 1e6:>15,.3f}" for row in (*self.parts, self.total)]
        return "\n".join([heading, *rows])


def model_summary(model: MultiTaskImageTransformer | ImageTransformer) -> ModelSummary:
    """Count the parameters and the FLOPs per image of every part, by running one black image in evaluation mode.

    FLOPs include matrix products, convolutions and attention, with two per multiply-add, as is usual, but not sums,
    norms and activations. The encoder counts once, as in training: with mirror averaging, evaluation runs it twice. The
    model's modes and the random generators do not change.
    """
    modes = {module: module.training for module in model.modules()}
    pixels = model.pixels
    image = pixels.mean.new_zeros(1, pixels.in_channels, *pixels.image_size)
    model.eval()
    averaging = [module for module in modes if isinstance(module, ImageEncoder) and module.mirror_averaging]
    for encoder in averaging:
        encoder.mirror_averaging = False
    try:
        # PyTorch's counter does not support the CPU's fused attention; the plain form has the same products.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        for encoder in averaging:
            encoder.mirror_averaging = True
        for module, training in modes.items():
            module.training = training
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    modules = dict(model.named_modules())
    measured = {
        path: PartSummary(name, _parameters(part), flops.get(f"{type(model).__name__}.{path}", 0))
        for name, path in PARTS.items()
        if (part := modules.get(path)) is not None
    }
    if "encoder.patch_embedding" in measured:
        whole, stem = measured["encoder"], measured["encoder.patch_embedding"]
        measured["encoder"] = PartSummary(whole.name, whole.parameters - stem.parameters, whole.flops - stem.flops)
    if "components" in measured:
        # PyTorch counts by a module's `forward`; the components have `encode` and `decode` instead.
        counted = sum(part.flops for part in measured.values())
        measured["components"] = PartSummary("components", 0, flops.get("Global", 0) - counted)
    return ModelSummary(
        parts=tuple(measured.values()), total=PartSummary("total", _parameters(model), flops.get("Global", 0))
    )


def _parameters(module: nn.Module) -> int:
    """Count the module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
