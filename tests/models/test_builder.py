import pytest
import torch

from triptych.config.schema import DatasetConfig, ModelConfig, RunConfig, TrainingConfig
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.builder import build_model

MODEL = ModelConfig(
    patch_size=8, embed_dim=24, num_heads=2, num_layers=1, mlp_ratio=1.5, latent_dim=5, embedding_dim=7, decoder_dim=6,
    depthwise_convolution=False, dropout=0.25, patch_embedding="linear",
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
    assert encoder.output_dim == 16 * 24
    assert len(encoder.blocks) == 1
    assert type(encoder.patch_embedding).__name__ == "PatchEmbedding"
    assert encoder.positions.shape == (16, 24)
    block = encoder.blocks[0]
    assert block.attention.num_heads == 2
    assert block.mlp.hidden.out_features == 36
    assert block.convolution is None
    assert block.dropout.p == block.mlp.dropout.p == 0.25
    output = model(torch.rand(2, 1, 32, 32))
    assert output.embedding.shape == (2, 7)
    assert output.logits.shape == (2, 3)
    assert model.pixels.mean.item() == pytest.approx(0.1)
    assert model.pixels.std.item() == pytest.approx(0.3)
    if multitask:
        assert output.latent.shape == (2, 5)
        assert model.decoder.decoder_dim == 6


def test_the_data_set_decides_the_size_of_the_images():
    config = make_config(multitask=True, dataset="cifar10", pad=0)
    model = build_model(config, num_classes=10, pixel_mean=(0.5, 0.5, 0.4), pixel_std=(0.2, 0.2, 0.2))
    assert model(torch.rand(2, 3, 32, 32)).reconstruction.shape == (2, 3, 32, 32)
