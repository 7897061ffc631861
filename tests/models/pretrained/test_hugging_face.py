"""Models of Hugging Face's library as networks: their outputs, and the messages where they are not available."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from torch import Tensor

from triptych.models.pretrained import hugging_face
from triptych.models.pretrained.backbone import BackboneDescription, BackboneDownloadError, BackboneError
from triptych.models.pretrained.encoder import PretrainedEncoder

KINDS = (
    *("vit", "vit_classifier", "dinov2", "dinov3", "siglip_vision", "siglip", "clip"),
    *("convnext", "resnet", "swin"),
)


@pytest.fixture
def images() -> Tensor:
    """Normalised images."""
    return torch.randn(2, 3, 32, 32)


def normal(part: Tensor) -> Tensor:
    return (part - part.mean(1, keepdim=True)) / (part.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_becomes_one_vector_an_image(vision_model: Callable[[str], Path], images: Tensor, kind: str) -> None:
    network, description = hugging_face.fetch(str(vision_model(kind)))

    features = network.eval()(images)

    assert features.ndim == 2
    assert len(features) == 2
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1], atol=1e-2)
    assert description.image_size == (32, 32)
    assert description.channels == 3
    assert description.image_mean == (0.5, 0.4, 0.3)
    assert description.image_std == (0.2, 0.3, 0.4)


def test_of_a_transformer_it_is_the_class_token_and_the_mean_of_the_patches(
    vision_model: Callable[[str], Path], images: Tensor
) -> None:
    network, _ = hugging_face.fetch(str(vision_model("dinov3")))
    peer = transformers.DINOv3ViTModel.from_pretrained(vision_model("dinov3")).eval()

    tokens = peer(images).last_hidden_state  # a class token, three registers, sixteen patches

    expected = torch.cat([normal(tokens[:, 0]), normal(tokens[:, 4:].mean(1))], dim=1)
    torch.testing.assert_close(network.eval()(images), expected)


def test_of_a_vision_tower_it_is_its_own_summary_and_the_mean_of_the_patches(
    vision_model: Callable[[str], Path], images: Tensor
) -> None:
    network, description = hugging_face.fetch(str(vision_model("siglip")))
    peer = transformers.SiglipModel.from_pretrained(vision_model("siglip")).eval().vision_model

    outputs = peer(images)

    expected = torch.cat([normal(outputs.pooler_output), normal(outputs.last_hidden_state.mean(1))], dim=1)
    torch.testing.assert_close(network.eval()(images), expected)
    assert description.config["model_type"] == "siglip_vision_model"


@pytest.mark.parametrize("kind", ["convnext", "resnet"])
def test_of_a_convolutional_network_it_is_the_pooled_map(
    vision_model: Callable[[str], Path], images: Tensor, kind: str
) -> None:
    network, _ = hugging_face.fetch(str(vision_model(kind)))
    peer = transformers.AutoModel.from_pretrained(vision_model(kind)).eval()

    expected = normal(peer(images).pooler_output.flatten(1))

    torch.testing.assert_close(network.eval()(images), expected)


def test_a_pooler_that_would_be_random_is_left_out(vision_model: Callable[[str], Path], images: Tensor) -> None:
    network, _ = hugging_face.fetch(str(vision_model("vit_classifier")))
    again, _ = hugging_face.fetch(str(vision_model("vit_classifier")))

    assert not any("pooler" in name for name in network.state_dict())
    assert torch.equal(network.eval()(images), again.eval()(images))


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov3", "siglip", "clip", "convnext", "swin"])
def test_images_of_other_sizes_are_taken_too(vision_model: Callable[[str], Path], kind: str) -> None:
    network, _ = hugging_face.fetch(str(vision_model(kind)))

    assert network.eval()(torch.randn(1, 3, 48, 64)).shape == network(torch.randn(1, 3, 32, 32)).shape


def test_weights_are_whole_floats_however_they_were_saved(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    model = transformers.ViTModel.from_pretrained(vision_model("vit"), add_pooling_layer=False)
    model.bfloat16().save_pretrained(tmp_path)
    shutil.copy(vision_model("vit") / "preprocessor_config.json", tmp_path)

    network, _ = hugging_face.fetch(str(tmp_path))

    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_and_the_weights_make_the_same_network(
    vision_model: Callable[[str], Path], images: Tensor, kind: str
) -> None:
    network, description = hugging_face.fetch(str(vision_model(kind)))
    plain = json.loads(json.dumps(description.plain()))  # text and numbers alone

    rebuilt = hugging_face.rebuild(BackboneDescription.from_plain(plain))

    assert not any(torch.equal(value, rebuilt.state_dict()[name]) for name, value in network.named_parameters())
    rebuilt.load_state_dict(network.state_dict())
    assert torch.equal(rebuilt.eval()(images), network.eval()(images))
    assert str(vision_model(kind)) not in json.dumps(plain["config"])


# Unavailable models


def rejected(name: str) -> str:
    with pytest.raises(BackboneError) as caught:
        hugging_face.fetch(name)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_folder_that_is_not_there_or_has_no_model_is_reported(tmp_path: Path) -> None:
    assert "where there is none. Check the path" in rejected(str(tmp_path / "nothing"))
    assert "where there is none" in rejected("./nothing")
    assert "which has no config.json" in rejected(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert "expected a vision model that transformers can read" in rejected(str(tmp_path))
    (tmp_path / "config.json").write_text("not json")
    assert "expected a vision model that transformers can read" in rejected(str(tmp_path))


def test_a_folder_without_weights_is_reported(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(vision_model("vit") / name, tmp_path)

    assert "model.safetensors" in rejected(str(tmp_path))


def test_a_model_of_text_is_reported_by_its_kind(vision_model: Callable[[str], Path]) -> None:
    assert "whose kind (bert) reads input_ids. Choose a ViT" in rejected(str(vision_model("bert")))


def test_a_model_without_its_image_processor_is_reported(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(vision_model("vit"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "preprocessor_config.json").unlink()

    assert "which has no preprocessor_config.json that can be read. Save it beside" in rejected(str(tmp_path))


def test_missing_weights_are_reported_and_not_drawn(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(vision_model("vit"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))

    assert "expected a model with all weights of its ViTModel" in rejected(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("model.safetensors", b"", "expected a vision model that transformers can read"),
        ("model.safetensors", b"not weights", "expected a vision model that transformers can read"),
        ("pytorch_model.bin", b"not weights", "expected weights that are tensors and nothing else"),
        ("config.json", b'{"model_type": "vit", "hidden_size": "big"}', "Validation error for field 'hidden_size'"),
        ("config.json", b'{"model_type": "vit", "patch_size": 0}', "expected a vision model"),
        ("preprocessor_config.json", b"[1]", "expected a vision model that transformers can read"),
        ("preprocessor_config.json", b"{", "no preprocessor_config.json that can be read"),
    ],
)
def test_a_damaged_file_is_reported(
    vision_model: Callable[[str], Path], tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    shutil.copytree(vision_model("vit"), tmp_path, dirs_exist_ok=True)
    if name == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(content)

    assert expected in rejected(str(tmp_path))


def test_code_among_the_weights_is_not_run(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(vision_model("vit"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": Path(tmp_path)}, tmp_path / "pytorch_model.bin")

    assert "hold code, which was not run" in rejected(str(tmp_path))


def test_weights_of_other_shapes_are_reported_with_both(vision_model: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(vision_model("vit"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"patch_size": 16}))

    message = rejected(str(tmp_path))

    assert "where 2 differ, such as embeddings.patch_embeddings.projection.weight" in message
    assert "(16, 3, 8, 8) instead of (16, 3, 16, 16)" in message


@pytest.mark.parametrize("name", ["~no-such-user/model", "a" * 300])
def test_a_name_that_the_system_cannot_look_for_is_reported(name: str) -> None:
    assert f"got {name}: " in rejected(name)


def test_a_missing_library_is_reported_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    assert "pip install 'triptych[pretrained]'" in rejected("facebook/dinov2-small")


def test_without_network_a_name_that_is_not_in_the_cache_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(BackboneDownloadError, match=r"could not be downloaded .* name its folder: hf:/path"):
        hugging_face.fetch("triptych-tests/there-is-no-such-model")


def test_the_library_keeps_its_log_level_and_its_bars(vision_model: Callable[[str], Path]) -> None:
    log = transformers.utils.logging
    before = log.get_verbosity()
    log.set_verbosity_warning()
    log.enable_progress_bar()
    try:
        hugging_face.fetch(str(vision_model("vit")))
        assert log.get_verbosity() == log.WARNING
        assert log.is_progress_bar_enabled()
    finally:
        log.set_verbosity(before)
        log.disable_progress_bar()


def test_a_kind_that_this_version_of_the_library_does_not_know_is_reported() -> None:
    description = BackboneDescription(
        "hf:new", {"model_type": "vit9", "transformers_version": "9.1"}, (8, 8), 3, (), ()
    )

    with pytest.raises(BackboneError, match=r"got the type 'vit9'. Install the version .*: 9\.1"):
        hugging_face.rebuild(description)


def test_a_described_config_that_the_library_rejects_is_reported() -> None:
    description = BackboneDescription("hf:m", {"model_type": "vit", "hidden_size": "big"}, (8, 8), 3, (), ())

    with pytest.raises(BackboneError, match="got hf:m: Validation error for field 'hidden_size'"):
        hugging_face.rebuild(description)


# The peer: the library's own image processor


@pytest.mark.parametrize(("side", "tolerance"), [(32, 1e-5), (12, 0.02), (80, 0.02)])
def test_images_are_prepared_as_the_librarys_processor_prepares_them(
    vision_model: Callable[[str], Path], side: int, tolerance: float
) -> None:
    processor_class = getattr(transformers, "ViTImageProcessorPil", None) or transformers.ViTImageProcessor
    processor = processor_class.from_pretrained(vision_model("vit"))
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    expected = processor(images=[Image.fromarray(pixels)], return_tensors="pt")["pixel_values"]
    network, description = hugging_face.fetch(str(vision_model("vit")))
    encoder = PretrainedEncoder(
        network, image_size=description.image_size, channels=3, in_channels=3, image_mean=description.image_mean,
        image_std=description.image_std, pixel_mean=(0.1, 0.2, 0.3), pixel_std=(0.4, 0.5, 0.6), frozen=True,
    )  # fmt: skip
    shown = []
    network.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    standardised = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 - mean) / std

    encoder(standardised[None])

    torch.testing.assert_close(shown[0], expected, atol=tolerance, rtol=0)
    assert F.mse_loss(shown[0], expected) < tolerance**2
