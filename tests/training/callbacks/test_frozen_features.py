"""The features of a frozen encoder, computed once: the same training, and nothing computed twice."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.models.builder import build_model
from triptych.training.building import build_module
from triptych.training.callbacks import frozen_features as file
from triptych.training.callbacks.frozen_features import FrozenFeatures, frozen_features, why_features_change
from triptych.training.callbacks.known_features import KnownFeatures
from triptych.training.checkpoints.loading import load_lightning_model
from triptych.training.train import train

QUIET = Console(quiet=True)
PLAIN = ("dataset.augmentation.rotation=0", "dataset.augmentation.crop_padding=0")


@pytest.fixture
def config(tiny_config: Callable[..., RunConfig], vision_model: Callable[[str], Path]) -> Callable[..., RunConfig]:
    backbone = f"model.backbone=hf:{vision_model('vit')}"
    return lambda *changes: tiny_config(backbone, *PLAIN, "training.epochs=2", *changes)


@pytest.fixture
def model(config: Callable[..., RunConfig]):
    torch.manual_seed(0)
    return build_model(config(), num_classes=10, pixel_mean=(0.3,), pixel_std=(0.4,))


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images the encoder has been shown, batch by batch."""
    counts: list[int] = []
    forward = file.parts

    def counting(images: Tensor, size: int):
        for part in forward(images, size):
            counts.append(len(part))
            yield part

    monkeypatch.setattr(file, "parts", counting)
    return counts


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


@pytest.mark.parametrize("training", [True, False])
def test_they_are_the_encoders_features_in_the_order_of_the_images(model, images, tmp_path, training):
    model.train(training)

    features = frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)

    with torch.no_grad():
        expected = model.encoder(model.pixels(images.float() / 255))
    torch.testing.assert_close(features, expected)
    assert features.dtype == torch.float32
    assert model.training == model.decoder.training == training


def test_a_second_run_computes_nothing(model, images, tmp_path, monkeypatch):
    first = frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)
    monkeypatch.setattr(file, "_compute", None)

    assert torch.equal(frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET), first)


def test_other_images_weights_or_statistics_are_computed_anew(model, config, images, tmp_path):
    first = frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)
    frozen_features(model, images.flip(0), structure={}, folder=tmp_path, console=QUIET)
    other = build_model(config(), num_classes=10, pixel_mean=(0.2,), pixel_std=(0.4,))
    frozen_features(other, images, structure={}, folder=tmp_path, console=QUIET)
    with torch.no_grad():
        next(iter(model.encoder.parameters())).mul_(2)
    changed = frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)

    assert files(tmp_path).count(".npy") == 4
    assert not torch.allclose(changed, first)


def test_the_same_weights_in_another_structure_are_computed_anew(model, images, tmp_path):
    for structure in ({"num_attention_heads": 2}, {"num_attention_heads": 4}, {"num_attention_heads": 2}):
        frozen_features(model, images, structure=structure, folder=tmp_path, console=QUIET)

    assert files(tmp_path).count(".npy") == 2


def test_the_heads_do_not_matter(model, config, images, tmp_path):
    frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)
    other = build_model(config("model.latent_dim=7"), num_classes=3, pixel_mean=(0.3,), pixel_std=(0.4,))
    frozen_features(other, images, structure={}, folder=tmp_path, console=QUIET)

    assert files(tmp_path).count(".npy") == 1


@pytest.mark.parametrize("damage", [b"", b"not features", None])
def test_a_damaged_file_is_computed_anew(model, images, tmp_path, damage):
    first = frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET).clone()
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-8] if damage is None else damage)

    assert torch.equal(frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET), first)


def test_an_interrupted_computation_writes_no_partial_features(model, images, tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.encoder, "forward", stop)
    with pytest.raises(KeyboardInterrupt):
        frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)

    assert files(tmp_path) in ([], [".lock"])
    assert model.training


def test_images_on_the_disk_are_read_a_part_at_a_time(model, images, tmp_path, batch_sizes, monkeypatch):
    monkeypatch.setattr(file, "AT_ONCE", 8)

    frozen_features(model, images, structure={}, folder=tmp_path, console=QUIET)

    assert batch_sizes == [8, 8, 8, 6]


# When features change from step to step


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ((), ""),
        (("dataset.augmentation.erasing_area=0.5",), ""),  # of nothing
        (("dataset.augmentation.rotation=3", "dataset.unaugmented_share=1"), ""),
        (("dataset.augmentation.rotation=3",), "augmentation changes the images"),
        (("training.triplet_mining=random",), "triplets are drawn"),
        (("model.cache_features=false",), "model.cache_features is false"),
    ],
)
def test_features_that_change_are_not_kept(config, changes, reason):
    assert why_features_change(config(*changes)).startswith(reason)
    assert bool(why_features_change(config(*changes))) == bool(reason)


# In a run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(file, "features_folder", lambda: tmp_path / "cache" / "features")
    return tmp_path / "cache" / "features"


def run(config: RunConfig, output: Path) -> tuple[dict[str, Tensor], str]:
    """Train; return the weights of the best epoch, and what was printed."""
    printed = io.StringIO()
    result = train(config, output=output, console=Console(file=printed, width=200))
    return load_lightning_model(result.best_checkpoint).state_dict(), printed.getvalue()


@pytest.mark.parametrize("multitask", ["true", "false"])
def test_a_run_that_knows_its_features_learns_what_one_learns_that_computes_them(config, folder, tmp_path, multitask):
    mode = f"training.use_multitask_loss={multitask}"
    known, printed = run(config(mode), tmp_path / "known")
    computed, said_of_computed = run(config(mode, "model.cache_features=false"), tmp_path / "computed")

    assert "features  of 1,437 images, computed once and kept in" in printed
    assert "features  computed at every step, because model.cache_features is false" in said_of_computed
    assert files(folder).count(".npy") == 2
    for name, value in known.items():
        torch.testing.assert_close(value, computed[name], atol=1e-5, rtol=1e-4)


def test_encoders_that_differ_in_their_config_alone_do_not_share_features(config, digits, vision_model, tmp_path):
    shutil.copytree(vision_model("vit"), tmp_path / "other")
    described = tmp_path / "other" / "config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"num_attention_heads": 4}))
    few = Split(digits.train.images[:60], digits.train.labels[:60])
    known = []
    for changes in ((), (f"model.backbone=hf:{tmp_path / 'other'}",)):
        data = ImageDataModule(config(*changes), ImageData(few, digits.test, digits.classes, "made"))
        module = build_module(data.config, data)
        FrozenFeatures(data.config, data, QUIET, folder=tmp_path / "features").on_fit_start(SimpleNamespace(), module)
        known.append(module.known_features.features["train"])

    assert files(tmp_path / "features").count(".npy") == 4
    assert not torch.allclose(*known, atol=1e-2)


def test_a_run_with_augmentation_reports_that_it_computes_them_at_every_step(config, folder, tmp_path):
    _, printed = run(config("dataset.augmentation.rotation=5", "training.epochs=1"), tmp_path)

    assert "computed at every step, because augmentation changes the images; without it" in printed
    assert not folder.exists()


def test_a_run_without_a_pretrained_encoder_prints_nothing_about_features(tiny_config, folder, tmp_path):
    _, printed = run(tiny_config("training.epochs=1"), tmp_path)

    assert "features" not in printed
    assert not folder.exists()


def test_an_encoder_that_learns_has_no_known_features(config, folder, tmp_path):
    _, printed = run(config("model.backbone_mode=finetune", "training.epochs=1"), tmp_path)

    assert "features" not in printed
    assert not folder.exists()


@pytest.mark.parametrize("sampling", ["shuffle", "class_balanced", "pk"])
def test_known_features_are_those_of_each_image_of_a_step(config, digits, sampling):
    rare = (digits.train.labels[:400] > 0) | (torch.arange(400) < 60)  # shown several times an epoch, or as it comes
    few = Split(digits.train.images[:400][rare], digits.train.labels[:400][rare])
    data = ImageDataModule(config(f"dataset.sampling={sampling}"), ImageData(few, digits.test, digits.classes, "made"))
    module = build_module(data.config, data).eval()
    batches = list(data.train_dataloader())
    expected = [module.measure(batch).losses.total for batch in batches]
    with torch.no_grad():
        features = module.model.encoder(module.model.pixels(data.train.images.float() / 255))
    module.known_features = KnownFeatures({"train": features})
    module.model.encoder.forward = None  # it is not batch_sizes again

    assert any((batch.index >= len(data.train)).any() for batch in batches) == (sampling != "shuffle")
    for batch, loss in zip(batches, expected, strict=True):
        torch.testing.assert_close(module.measure(batch).losses.total, loss)
    with pytest.raises(TypeError, match="NoneType"):
        module.measure(batches[0], "test")
