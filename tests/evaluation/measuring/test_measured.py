import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.baselines import measure_baselines
from triptych.evaluation.measuring.measured import SPLITS, Evaluation, map_embeddings, measure, named_split
from triptych.evaluation.measuring.outputs import ModelOutputs, reconstructions
from triptych.evaluation.writing import images_digest, write_figures
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
    return model, data, measure(model, data, split="test")


def test_every_number_is_explained(three_panels: tuple) -> None:
    _, _, found = three_panels

    scalars = {name for name, value in found.figures.items() if not isinstance(value, list | dict)}
    assert scalars <= DEFINITIONS.keys()
    assert found.holdout.keys() - {"full_gallery", "chance", "pixels", "intervals"} <= DEFINITIONS.keys()
    for figures in (found.holdout, found.holdout["pixels"]):
        low, high = figures["intervals"]["map_at_r"]
        assert 0 <= low < figures["map_at_r"] < high <= 1
    assert {"accuracy", "knn_accuracy", "ece", "nll", "map_at_r"} <= found.figures["intervals"].keys()
    assert all(math.isfinite(found.figures[name]) for name in scalars)


def test_the_same_model_gives_the_same_figures_every_time(three_panels: tuple) -> None:
    model, data, found = three_panels

    again = measure(model, data, split="test")

    assert again.figures == found.figures
    assert again.baselines.figures == found.baselines.figures
    assert np.array_equal(again.map.points, found.map.points)


def test_held_out_classes_are_measured_with_chance_pixels_and_the_full_gallery(three_panels: tuple) -> None:
    _, data, found = three_panels

    # 80 images of 2 classes: at chance for an untrained model, whereas all 5 classes would give a fifth.
    assert len(data.holdout) == 80
    assert found.holdout["precision_at_1"] > 0.3
    # A random one of 79 others has the class in 39 cases; R-precision of chance is the same.
    assert found.holdout["chance"]["precision_at_1"] == pytest.approx(39 / 79)
    assert found.holdout["chance"]["map_at_r"] < 39 / 79
    assert found.holdout["full_gallery"]["map_at_r"] < found.holdout["map_at_r"]
    assert 0 < found.holdout["pixels"]["map_at_r"] < 1
    assert len(found.figures["per_class_accuracy"]) == 3


def test_a_model_without_a_decoder_has_no_figures_of_reconstruction() -> None:
    model, data = run(use_multitask_loss=False)

    found = measure(model, data, split="val")

    assert not found.figures.keys() & {"mse", "psnr", "ssim", "elbo", "kl_divergence", "active_units"}
    assert "pca_mse" not in found.baselines.figures
    assert "map_at_r" in found.figures


def test_a_training_image_is_not_its_own_neighbour() -> None:
    model, data = run()

    found = measure(model, data, split="train")

    # Noise: an image that found itself would be right.
    assert found.figures["nearest_neighbour_accuracy"] < 0.6
    assert found.baselines.figures["pixels_1nn"] < 0.6


def test_the_splits_have_the_names_of_metrics_json() -> None:
    _, data = run()

    assert [len(named_split(data, name)) for name in SPLITS] == [len(data.train), len(data.validation), 120]
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
    assert written["test"]["baselines"] == found.baselines.figures
    assert read_per_image(tmp_path / "per_image_test.parquet").description["images"] == images_digest(data.test)


def test_the_digest_distinguishes_images_and_labels() -> None:
    one = images(20, 1)
    relabelled = Split(one.images, one.labels.roll(1))
    reshaped = Split(one.images.reshape(20, 1, 4, 16), one.labels)

    assert images_digest(one) == images_digest(Split(one.images.clone(), one.labels.clone()))
    assert len({images_digest(split) for split in (one, relabelled, reshaped, images(20, 2))}) == 4


def test_figures_have_their_intervals(three_panels: tuple) -> None:
    _, _, found = three_panels

    assert {"accuracy", "macro_f1", "map_at_r", "precision_at_1", "mse"} <= found.figures["intervals"].keys()
    for name, (low, high) in found.figures["intervals"].items():
        assert low <= found.figures[name] <= high
        assert low < high


def test_misclassified_images_are_written_most_confident_first(three_panels: tuple, tmp_path) -> None:
    _, data, found = three_panels
    files = [f"=photos/{number}.png" for number in range(len(found.split))]
    named = replace(found, split=replace(found.split, names=files))

    write_figures(tmp_path, data, named, checkpoint="best.ckpt")

    with (tmp_path / "misclassified_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = found.table.columns
    wrong = np.flatnonzero(columns["label"] != columns["prediction"])
    assert len(rows) == len(wrong) > 0
    assert {row["file"] for row in rows} == {f"'{files[number]}" for number in wrong}
    confidences = [float(row["confidence"]) for row in rows]
    assert confidences == sorted(confidences, reverse=True)
    row = int(rows[0]["file"].split("/")[1].removesuffix(".png"))
    assert rows[0]["label"] == data.classes[columns["label"][row]]
    assert rows[0]["predicted"] == data.classes[columns["prediction"][row]]


def test_a_border_does_not_count_as_reconstructed() -> None:
    """Reconstruction errors, SSIM and the PCA baseline are those of the images without their border."""
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits", "pad": 4},
            "model": {"patch_size": 4, "embed_dim": 8, "num_heads": 2, "num_layers": 1, "latent_dim": 4},
            "logging": {"tsne_samples": 100},
        }
    )
    data = ImageDataModule(config, ImageData(images(100, 1), images(60, 2), ("a", "b", "c", "d", "e"), "made"))
    torch.manual_seed(0)
    model = build_model(config, num_classes=5, pixel_mean=0.5, pixel_std=0.3)

    found = measure(model, data, split="test")

    inside = data.test.images[:, :, 4:-4, 4:-4].float() / 255
    reconstructed = reconstructions(model, data.test.images)[:, :, 4:-4, 4:-4]
    assert found.figures["mse"] == pytest.approx(float((reconstructed - inside).square().mean()), rel=1e-4)
    plain = measure_baselines(images(len(data.train), 1), images(60, 2), embedding_dim=4, latent_dim=4)
    bordered = measure_baselines(
        Split(torch.nn.functional.pad(images(len(data.train), 1).images, (4,) * 4), images(len(data.train), 1).labels),
        Split(torch.nn.functional.pad(images(60, 2).images, (4,) * 4), images(60, 2).labels),
        embedding_dim=4,
        latent_dim=4,
        pad=4,
    )
    assert bordered.figures == pytest.approx(plain.figures)


def test_120_classes_of_4_have_a_map(tmp_path) -> None:
    labels = torch.arange(480) % 120
    outputs = ModelOutputs(labels, torch.randn(480, 3), torch.randn(480, 120), None)

    found = map_embeddings(outputs, samples=100, seed=0)

    assert len(found.indices) == len(set(found.indices.tolist())) == 100
