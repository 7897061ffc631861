from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.config.schema import DatasetConfig, ModelConfig, RunConfig, TrainingConfig
from triptych.errors import ConfigError, DownloadError
from triptych.models import ImageEncoder, ImageTransformer, MultiTaskImageTransformer, builder
from triptych.models.builder import build_model, fetch_backbone, rebuild_backbone
from triptych.models.pretrained.backbone import BackboneDescription, BackboneDownloadError
from triptych.models.pretrained.encoder import PretrainedEncoder

MODEL = ModelConfig(
    patch_size=8, embed_dim=24, num_heads=2, num_layers=1, mlp_ratio=1.5, latent_dim=5, embedding_dim=7, decoder_dim=6,
    dropout=0.25, patch_embedding="linear", principal_components=3,
)  # fmt: skip


def make_config(*, multitask: bool, dataset: str = "mnist", pad: int = 2) -> RunConfig:
    return RunConfig(
        dataset=DatasetConfig(name=dataset, pad=pad),
        model=MODEL,
        training=TrainingConfig(use_multitask_loss=multitask),
    )


def test_the_config_chooses_between_the_two_models():
    build = {
        multitask: build_model(make_config(multitask=multitask), num_classes=10, pixel_mean=0.1, pixel_std=0.3)
        for multitask in (True, False)
    }
    assert type(build[True]) is MultiTaskImageTransformer
    assert type(build[False]) is ImageTransformer


@pytest.mark.parametrize("multitask", [True, False])
def test_every_key_of_the_config_reaches_the_model(multitask):
    model = build_model(make_config(multitask=multitask), num_classes=3, pixel_mean=0.1, pixel_std=0.3).eval()
    encoder = model.encoder
    assert encoder.output_dim == 24
    assert len(encoder.blocks) == 1
    assert type(encoder.patch_embedding).__name__ == "PatchEmbedding"
    assert encoder.positions.shape == (16, 24)
    block = encoder.blocks[0]
    assert block.attention.num_heads == 2
    assert block.mlp.hidden.out_features == 36
    assert block.dropout.p == block.mlp.dropout.p == 0.25
    output = model(torch.rand(2, 1, 32, 32))
    assert output.embedding.shape == (2, 7)
    assert output.logits.shape == (2, 3)
    assert model.pixels.mean.item() == pytest.approx(0.1)
    assert model.pixels.std.item() == pytest.approx(0.3)
    if multitask:
        assert output.latent.shape == (2, 5 + 3)
        assert model.decoder.decoder_dim == 6


def test_the_data_set_decides_the_size_of_the_images():
    config = make_config(multitask=True, dataset="cifar10", pad=0)
    model = build_model(config, num_classes=10, pixel_mean=(0.5, 0.5, 0.4), pixel_std=(0.2, 0.2, 0.2))
    assert model(torch.rand(2, 3, 32, 32)).reconstruction.shape == (2, 3, 32, 32)


def test_an_encoder_of_ones_own_and_the_builder_draw_the_same_weights_from_a_seed():
    config = make_config(multitask=True)
    torch.manual_seed(5)
    built = build_model(config, num_classes=10, pixel_mean=0.1, pixel_std=0.3)
    torch.manual_seed(5)
    encoder = ImageEncoder(
        image_size=(32, 32), in_channels=1, patch_size=8, patch_embedding="linear", embed_dim=24, num_heads=2,
        num_layers=1, mlp_ratio=1.5, dropout=0.25,
    )  # fmt: skip
    model = MultiTaskImageTransformer(
        encoder, image_size=(32, 32), in_channels=1, num_classes=10, latent_dim=5, embedding_dim=7, decoder_dim=6,
        principal_components=3, pixel_mean=0.1, pixel_std=0.3,
    )  # fmt: skip
    assert model.state_dict().keys() == built.state_dict().keys()
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in model.state_dict().items())


def test_activation_checkpointing_reaches_the_encoder():
    model = RunConfig.model_validate({"dataset": {"name": "mnist"}, "model": {"activation_checkpointing": True}})
    assert build_model(model, num_classes=10, pixel_mean=0.1, pixel_std=0.3).encoder.activation_checkpointing


# Pretrained encoders


def run_on(name: str, dataset: str = "cifar10", **model: Any) -> RunConfig:
    return RunConfig.model_validate(
        {"dataset": {"name": dataset}, "model": {"backbone": name, "decoder_dim": 4, "latent_dim": 4, **model}}
    )


def build(config: RunConfig) -> MultiTaskImageTransformer | ImageTransformer:
    return build_model(config, num_classes=10, pixel_mean=0.4, pixel_std=0.3)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov3", "siglip", "convnext"])
@pytest.mark.parametrize("mode", ["frozen", "finetune", "lora"])
def test_three_panels_stand_on_any_pretrained_encoder_in_any_mode(
    vision_model: Callable[[str], Path], kind: str, mode: str
):
    model = build(run_on(f"hf:{vision_model(kind)}", backbone_mode=mode, lora_rank=2)).train()
    images = torch.rand(4, 3, 32, 32)
    output = model(images)
    (output.logits.square().mean() + output.reconstruction.square().mean()).backward()

    assert output.reconstruction.shape == images.shape
    learning = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert {name for name, parameter in model.encoder.named_parameters() if parameter.grad is not None} == learning
    assert bool(learning) == (mode != "frozen")
    assert all("lora_" in name for name in learning) == (mode != "finetune")


def test_grey_images_of_another_size_are_taken(vision_model: Callable[[str], Path]):
    model = build(run_on(f"hf:{vision_model('vit')}", "digits"))
    assert model.encoder.image_size == (32, 32)
    assert model(torch.rand(2, 1, 8, 8)).reconstruction.shape == (2, 1, 8, 8)
    grey = build(run_on(f"hf:{vision_model('grey_vit')}", "digits"))
    assert grey.encoder.channels == 1


def test_colour_images_for_a_grey_encoder_are_an_error_of_the_config(vision_model: Callable[[str], Path]):
    with pytest.raises(ConfigError, match=r"^model\.backbone: hf:.*expected images of 1 channels"):
        build(run_on(f"hf:{vision_model('grey_vit')}"))


@pytest.mark.parametrize(
    ("kind", "side", "expected"),
    [("vit", 64, (64, 64)), ("vit", 30, (32, 32)), ("dinov3", 48, (48, 48)), ("convnext", 50, (48, 48))],
)
def test_the_requested_side_is_taken_in_whole_patches(
    vision_model: Callable[[str], Path], kind: str, side: int, expected: tuple[int, int]
):
    model = build(run_on(f"hf:{vision_model(kind)}", backbone_image_size=side))
    assert model.encoder.image_size == expected
    assert model(torch.rand(2, 3, 32, 32)).logits.shape == (2, 10)


class Rigid(torch.nn.Module):
    """A network that takes squares of 32 pixels and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[2:] != (32, 32):
            raise ValueError("not of my size")
        return images.mean((1, 2, 3))[:, None] * self.weight


def rigid() -> builder.Backbone:
    description = BackboneDescription("timm:rigid", {}, (32, 32), 3, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    return builder.Backbone(Rigid(), description)


def test_a_size_that_a_network_does_not_take_is_an_error_of_the_config():
    config = run_on("timm:rigid", backbone_image_size=64)
    with pytest.raises(ConfigError, match=r"backbone_image_size: expected null.*32x32 alone; got 64"):
        build_model(config, num_classes=10, pixel_mean=0.4, pixel_std=0.3, backbone=rigid())


def shown_size(backbone: builder.Backbone, image_size: tuple[int, int], side: int | None = None) -> tuple[int, int]:
    return builder._shown_size(backbone, image_size, side)


def test_images_that_are_not_square_keep_their_shape_where_the_network_takes_it(vision_model: Callable[[str], Path]):
    flexible = fetch_backbone(run_on(f"hf:{vision_model('vit')}").model)
    assert shown_size(flexible, (100, 150)) == (32, 48)
    assert shown_size(flexible, (300, 100), 64) == (192, 64)
    assert shown_size(flexible, (500, 500)) == (32, 32)
    assert shown_size(flexible, (8, 1024)) == (32, 128), "no longer than four times its width"
    assert shown_size(rigid(), (100, 150)) == (32, 32)


def test_what_a_library_draws_at_random_does_not_change_the_heads(vision_model: Callable[[str], Path]):
    config = run_on(f"hf:{vision_model('vit')}")
    torch.manual_seed(3)
    fetched = build(config)
    torch.manual_seed(3)
    backbone = rebuild_backbone(fetch_backbone(config.model).description)
    rebuilt = build_model(config, num_classes=10, pixel_mean=0.4, pixel_std=0.3, backbone=backbone)
    assert torch.equal(fetched.latent_head.mean.weight, rebuilt.latent_head.mean.weight)
    rebuilt.load_state_dict(fetched.state_dict())
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(rebuilt.eval().embed(images), fetched.eval().embed(images))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hf:./nothing", "where there is none"),
        ("timm:nothing", "expected the library timm"),
        ("hf:bert", "reads input_ids"),
    ],
)
def test_an_encoder_that_cannot_be_had_is_an_error_of_the_config(
    vision_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str, expected: str
):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    name = f"hf:{vision_model('bert')}" if name == "hf:bert" else name
    with pytest.raises(ConfigError, match=rf"^model\.backbone: .*{expected}"):
        build(run_on(name))


def test_a_failed_download_is_reported_as_one(monkeypatch: pytest.MonkeyPatch):
    def fetch(name: str) -> builder.Backbone:
        raise BackboneDownloadError(f"{name} could not be downloaded")

    monkeypatch.setitem(builder.FETCH, "hf", fetch)
    with pytest.raises(DownloadError, match=r"^model\.backbone: some/model could not be downloaded\.$"):
        build(run_on("hf:some/model"))


def test_a_description_of_an_unknown_library_is_reported():
    with pytest.raises(ConfigError, match=r"^model\.backbone: "):
        rebuild_backbone(BackboneDescription("other:x", {}, (8, 8), 3, (0.0,) * 3, (1.0,) * 3))


def test_a_frozen_encoder_is_not_looked_into(vision_model: Callable[[str], Path]):
    model = build(run_on(f"hf:{vision_model('vit')}"))
    assert isinstance(model.encoder, PretrainedEncoder)
    assert model.encoder.is_frozen
    assert model.encoder.attention_maps(torch.zeros(1, 3, 32, 32)) is None
