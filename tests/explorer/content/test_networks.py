"""The networks of a page compute what the model computes, of images as people have them: without the border."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import triptych
from triptych.errors import DataError
from triptych.explorer.collection import of_images
from triptych.explorer.content.networks import page_networks
from triptych.explorer.content.payload import build_payload
from triptych.explorer.viewpoint import look_at


def run(network: bytes, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, inputs), strict=True))


@pytest.mark.parametrize("pad", [0, 2])
@pytest.mark.parametrize("as_bundle", [False, True])
def test_the_border_is_inside_the_networks(
    make_checkpoint: Callable, tmp_path: Path, pad: int, as_bundle: bool
) -> None:
    dataset = {"name": "folder", "root": "photos", "image_size": [12, 16], "channels": 3, "pad": pad}
    torch.save(make_checkpoint(classes=("cat", "dog"), dataset=dataset), tmp_path / "model.ckpt")
    model = triptych.load(tmp_path / "model.ckpt", device="cpu")
    place = triptych.export(model, tmp_path / "bundle") if as_bundle else tmp_path / "model.ckpt"
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)

    networks = page_networks(triptych.load(place, device="cpu"))
    assert networks.encoder
    assert networks.decoder
    found = run(networks.encoder, images=images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    decoded = run(networks.decoder, latent=found["latent"])["images"]

    np.testing.assert_allclose(found["embedding"], model.embed(images).vectors, atol=1e-5)
    np.testing.assert_allclose(found["latent"], model.encode(images), atol=1e-5)
    assert decoded.shape == (5, 3, 12, 16)
    pixels = np.rint(decoded.transpose(0, 2, 3, 1) * 255)
    np.testing.assert_allclose(pixels, model.reconstruct(images), atol=1)


def test_a_model_without_a_decoder_has_none(make_checkpoint: Callable, tmp_path: Path) -> None:
    torch.save(make_checkpoint(multitask=False), tmp_path / "model.ckpt")

    networks = page_networks(triptych.load(tmp_path / "model.ckpt"))

    assert networks.encoder
    assert networks.decoder is None


def test_an_encoder_of_another_library_stays_on_the_server(
    make_checkpoint: Callable, vision_model: Callable, coloured_photos: Path, tmp_path: Path
) -> None:
    model = _pretrained(make_checkpoint, vision_model("vit"), coloured_photos, tmp_path)

    collection = of_images(coloured_photos / "photos", model.description)
    payload = build_payload(collection, look_at(collection, model, name="model", prepared=True))

    described = json.loads(gzip.decompress(payload.manifest(live=False)))["model"]
    assert (described["encoder"], described["decoder"]) == ("server", "page")
    assert "encoder.onnx" not in payload.blobs
    assert "decoder.onnx" in payload.blobs


def _pretrained(make_checkpoint: Callable, folder: Path, photos: Path, tmp_path: Path) -> triptych.TrainedModel:
    dataset = {"name": "folder", "root": str(photos / "photos"), "image_size": 32, "batch_size": 8}
    config = {
        "dataset": dataset,
        "model": {"backbone": f"hf:{folder}", "latent_dim": 3, "embedding_dim": 6, "decoder_dim": 4},
        "training": {"epochs": 1, "accelerator": "cpu", "devices": 1},
        "logging": {"tensorboard": False, "triplet_samples": False, "embeddings": False},
    }
    return triptych.load(triptych.train(config, output=tmp_path, quiet=True).best_checkpoint, device="cpu")


def test_what_exporting_needs_is_named(
    make_checkpoint: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(make_checkpoint(seed=3), tmp_path / "model.ckpt")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(DataError, match=r"needs the library onnx: install it with pip install 'triptych\[export\]'"):
        page_networks(triptych.load(tmp_path / "model.ckpt"))
