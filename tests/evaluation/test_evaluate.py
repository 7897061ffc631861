import math

import numpy as np
import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.evaluate import SPLITS, Evaluation, evaluate, map_embeddings, named_split
from triptych.evaluation.outputs import ModelOutputs
from triptych.evaluation.writing import images_digest, metrics_of, write_figures
from triptych.models.builder import build_model
from triptych.runs.definitions import DEFINITIONS
from triptych.runs.metrics_file import read_metrics, write_metrics
from triptych.runs.per_image import read_per_image


def images(size: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size, 1, 8, 8), generator=generator).to(torch.uint8)
    return Split(pixels, torch.arange(size) % 5)


def run(**training: object) -> tuple[torch.nn.Module, ImageDataModule]:
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "model": {"patch_size": 4, "embed_dim": 8, "num_heads": 2, "num_layers": 1, "latent_dim": 4},
            "training": training,
            "evaluation": {"holdout_classes": ["d", "e"]},
            "logging": {"tsne_samples": 100},
        }
    )
    data = ImageDataModule(config, ImageData(images(300, 1), images(200, 2), ("a", "b", "c", "d", "e"), "made"))
    torch.manual_seed(0)
    return build_model(config, num_classes=3, pixel_mean=0.5, pixel_std=0.3), data


@pytest.fixture(scope="module")
def three_panels() -> tuple[torch.nn.Module, ImageDataModule, Evaluation]:
    model, data = run()
    return model, data, evaluate(model, data, split_name="test")


def test_every_number_is_explained(three_panels: tuple) -> None:
    _, _, found = three_panels

    scalars = {name for name, value in found.figures.items() if not isinstance(value, list)}
    assert scalars <= DEFINITIONS.keys()
    assert found.holdout_figures.keys() <= DEFINITIONS.keys()
    assert all(math.isfinite(found.figures[name]) for name in scalars)


def test_the_same_model_gives_the_same_figures_every_time(three_panels: tuple) -> None:
    model, data, found = three_panels

    again = evaluate(model, data, split_name="test")

    assert again.figures == found.figures
    assert again.baselines == found.baselines
    assert np.array_equal(again.map.points, found.map.points)


def test_classes_that_training_never_saw_are_measured_alone(three_panels: tuple) -> None:
    _, data, found = three_panels

    # 80 images of 2 classes: at chance for an untrained model, whereas all 5 classes would give a fifth.
    assert len(data.holdout) == 80
    assert found.holdout_figures["precision_at_1"] > 0.3
    assert len(found.figures["per_class_accuracy"]) == 3


def test_a_model_without_a_decoder_has_no_figures_of_repainting() -> None:
    model, data = run(use_multitask_loss=False)

    found = evaluate(model, data, split_name="val")

    assert not found.figures.keys() & {"mse", "psnr", "ssim", "elbo", "kl_divergence", "active_units"}
    assert "pca_mse" not in found.baselines
    assert "map_at_r" in found.figures


def test_a_training_image_is_not_its_own_neighbour() -> None:
    model, data = run()

    found = evaluate(model, data, split_name="train")

    # Noise: whoever found themselves would be right.
    assert found.figures["nearest_neighbour_accuracy"] < 0.6
    assert found.gallery is found.outputs


def test_the_splits_have_the_names_of_metrics_json() -> None:
    _, data = run()

    assert [len(named_split(data, name)) for name in SPLITS] == [120, len(data.validation), len(data.train)]
    with pytest.raises(ValueError, match="'tset'"):
        named_split(data, "tset")


def test_the_map_takes_a_share_of_every_class() -> None:
    labels = torch.tensor([0] * 900 + [1] * 100)
    outputs = ModelOutputs(labels, torch.randn(1000, 3), torch.randn(1000, 2), None)

    found = map_embeddings(outputs, samples=50, seed=0)

    assert labels[found.indices].bincount().tolist() == [45, 5]
    assert found.points.shape == (50, 2)


def test_writing_keeps_what_training_wrote(three_panels: tuple, tmp_path) -> None:
    _, data, found = three_panels
    write_metrics({"test": {"loss": 1.5}, "epochs": 3}, tmp_path / "metrics.json")

    write_figures(tmp_path, data, found, checkpoint="best.ckpt")

    written = read_metrics(tmp_path / "metrics.json")
    assert written["epochs"] == 3
    assert written["test"]["loss"] == 1.5
    assert written["test"]["baselines"] == metrics_of(found)["test"]["baselines"]
    assert read_per_image(tmp_path / "per_image_test.parquet").description["images"] == images_digest(data.test)


def test_the_digest_tells_images_from_others_and_labels_from_others() -> None:
    one = images(20, 1)
    relabelled = Split(one.images, one.labels.roll(1))
    reshaped = Split(one.images.reshape(20, 1, 4, 16), one.labels)

    assert images_digest(one) == images_digest(Split(one.images.clone(), one.labels.clone()))
    assert len({images_digest(split) for split in (one, relabelled, reshaped, images(20, 2))}) == 4
