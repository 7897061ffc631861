"""Builds a model from the config; the only file of this package that reads the config."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn

from triptych.config.schema import ModelConfig, RunConfig
from triptych.errors import ConfigError, DownloadError
from triptych.models.contract import Encoder
from triptych.models.image_transformer import ImageTransformer
from triptych.models.multitask import MultiTaskImageTransformer
from triptych.models.pretrained import hugging_face, timm_network
from triptych.models.pretrained.backbone import Backbone, BackboneDescription, BackboneDownloadError, BackboneError
from triptych.models.pretrained.encoder import PretrainedEncoder
from triptych.models.pretrained.lora import add_lora
from triptych.models.pretrained.module_encoder import ModuleEncoder
from triptych.models.vit.encoder import ImageEncoder

FETCH = {"hf": hugging_face.fetch, "timm": timm_network.fetch}
REBUILD = {"hf": hugging_face.rebuild, "timm": timm_network.rebuild}
"""Sources of pretrained networks, by the prefix of `model.backbone` before the colon."""
LONGEST = 4
"""Maximum aspect ratio of a pretrained network's input: its cost grows with the area."""


def build_model(
    config: RunConfig,
    *,
    num_classes: int,
    pixel_mean: float | Sequence[float],
    pixel_std: float | Sequence[float],
    backbone: Backbone | None = None,
    encoder: nn.Module | None = None,
) -> MultiTaskImageTransformer | ImageTransformer:
    """Build the model of a run: `training.use_multitask_loss` chooses between the two, `model.backbone` the encoder.

    Args:
        config: Config of the run; its data set gives the image size.
        num_classes: K, number of classes in the data set.
        pixel_mean: Mean of the training images' pixels in [0, 1], one number or one per channel.
        pixel_std: Their standard deviation, likewise.
        backbone: The pretrained network that `model.backbone` names; None fetches it.
        encoder: The user's own module, if `model.backbone` begins with `module:`; the model gets a copy.

    Raises:
        ValueError: The sizes are incompatible, or the encoder does not map images to features.
        ConfigError, DownloadError: The pretrained encoder is not available or not usable.
    """
    in_channels, height, width = config.dataset.image_shape
    built = build_encoder(config, pixel_mean=pixel_mean, pixel_std=pixel_std, backbone=backbone, encoder=encoder)
    if config.training.use_multitask_loss:
        return MultiTaskImageTransformer(
            built,
            image_size=(height, width),
            in_channels=in_channels,
            num_classes=num_classes,
            latent_dim=config.model.latent_dim,
            embedding_dim=config.model.embedding_dim,
            decoder_dim=config.model.decoder_dim,
            principal_components=config.model.principal_components,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
        )
    return ImageTransformer(
        built,
        image_size=(height, width),
        in_channels=in_channels,
        num_classes=num_classes,
        embedding_dim=config.model.embedding_dim,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
    )


def build_encoder(
    config: RunConfig,
    *,
    pixel_mean: float | Sequence[float],
    pixel_std: float | Sequence[float],
    backbone: Backbone | None = None,
    encoder: nn.Module | None = None,
) -> Encoder:
    """Build the encoder of a run: Triptych's own, a pretrained one or the user's; arguments as in `build_model`."""
    in_channels, height, width = config.dataset.image_shape
    model = config.model
    if is_given(model) != (encoder is not None):
        raise ConfigError(
            f"model.backbone is {model.backbone}, a module that is not stored with the model: pass it as encoder=, to "
            "triptych.train and triptych.load alike."
            if encoder is None
            else f"model.backbone is {model.backbone or 'null'}: expected no encoder= beside it, got one. Leave it out."
        )
    if encoder is not None:
        return ModuleEncoder(deepcopy(encoder).cpu(), image_size=(height, width), in_channels=in_channels)
    if model.backbone is None:
        return ImageEncoder(
            image_size=(height, width),
            in_channels=in_channels,
            patch_size=model.patch_size,
            patch_embedding=model.patch_embedding,
            mirror_averaging=model.mirror_averaging,
            embed_dim=model.embed_dim,
            num_heads=model.num_heads,
            num_layers=model.num_layers,
            mlp_ratio=model.mlp_ratio,
            dropout=model.dropout,
            activation_checkpointing=model.activation_checkpointing,
        )
    network, description = backbone or fetch_backbone(model)
    try:
        if model.backbone_mode == "lora":
            add_lora(network, rank=model.lora_rank, targets=model.lora_targets)
        return PretrainedEncoder(
            network,
            image_size=_shown_size(Backbone(network, description), (height, width), model.backbone_image_size),
            channels=description.channels,
            in_channels=in_channels,
            image_mean=description.image_mean,
            image_std=description.image_std,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
            frozen=model.backbone_mode == "frozen",
            activation_checkpointing=model.activation_checkpointing,
        )
    except BackboneError as error:
        raise ConfigError(f"model.backbone: {description.source}: {error}.") from error


def is_given(model: ModelConfig) -> bool:
    """Whether the caller passes the encoder as a module (`encoder=`)."""
    return (model.backbone or "").startswith("module:")


def fetch_backbone(model: ModelConfig) -> Backbone:
    """Read the pretrained network that the config names, from its folder, its library's cache, or the hub.

    The state of PyTorch's random generator does not change, even if the library draws random numbers.

    Raises:
        ConfigError: There is no such network, or its library is not installed.
        DownloadError: It could not be downloaded.
    """
    library, _, name = (model.backbone or "").partition(":")
    try:
        with torch.random.fork_rng(devices=[]):
            return FETCH[library](name)
    except BackboneDownloadError as error:
        raise DownloadError(f"model.backbone: {error}.") from error
    except BackboneError as error:
        raise ConfigError(f"model.backbone: {error}.") from error


def rebuild_backbone(description: BackboneDescription) -> Backbone:
    """Build a network from its description alone, with random weights, which a checkpoint then replaces.

    Raises:
        ConfigError: Its library is not installed, or the installed version does not include this network.
    """
    if description.library not in REBUILD:
        raise ConfigError(f"model.backbone: expected one of {', '.join(REBUILD)}, got {description.library!r}.")
    try:
        with torch.random.fork_rng(devices=[]):
            return Backbone(REBUILD[description.library](description), description)
    except BackboneError as error:
        raise ConfigError(f"model.backbone: {error}.") from error


def _shown_size(backbone: Backbone, image_size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """Choose the input size of a network.

    It is the network's own, or has the requested shorter side. If the network accepts any shape, images keep their
    aspect ratio, up to 4:1; otherwise they are stretched to the network's own shape.

    Raises:
        BackboneError: Another size is requested, but the network accepts only its own.
    """
    own, cell = backbone.description.image_size, _cell(backbone.description)
    shorter = side or min(own)
    scale = shorter / min(image_size)
    wanted = own
    if side or image_size[0] * own[1] != image_size[1] * own[0]:
        down, across = (min(length * scale, LONGEST * shorter) for length in image_size)
        wanted = (max(1, round(down / cell)) * cell, max(1, round(across / cell)) * cell)
    if wanted == own or _takes(backbone, wanted):
        return wanted
    if side is None:
        return own
    raise BackboneError(
        f"backbone_image_size: expected null, since this encoder takes images of {own[0]}x{own[1]} alone; got {side}"
    )


def _cell(description: BackboneDescription) -> int:
    """Return the patch size, by which the sides of the image should be divisible."""
    size = description.config.get("patch_size")
    return size if isinstance(size, int) else 1


@torch.no_grad()
def _takes(backbone: Backbone, size: tuple[int, int]) -> bool:
    backbone.network.eval()
    try:
        backbone.network(torch.zeros(1, backbone.description.channels, *size))
    except Exception:
        # Third-party networks raise errors of any class.
        return False
    return True
