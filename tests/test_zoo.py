"""The models in the package: small, whole, and found by their names."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import triptych
from triptych import zoo
from triptych.artefacts.bundle import read_description, read_file
from triptych.config.datasets import KNOWN_DATASETS
from triptych.errors import CheckpointError

MODELS = zoo.zoo_models()


def test_the_models_together_take_few_bytes():
    assert MODELS, "there is at least one"
    files = [path for path in Path(zoo.__file__).parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= zoo.MOST_BYTES


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_loaded_by_its_name_and_has_all_verbs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = triptych.load(name)
    known = KNOWN_DATASETS[name]

    assert model.classes == known.classes
    assert model.description.preprocessing.shape == known.shape
    channels, height, width = known.shape
    images = np.random.default_rng(0).integers(0, 256, (3, 2 * height, width, 3), np.uint8)
    np.testing.assert_allclose(np.linalg.norm(model.embed(list(images)).vectors, axis=1), 1, atol=1e-5)
    expected = (3, height, width) if channels == 1 else (3, height, width, channels)
    assert model.reconstruct(list(images)).shape == model.sample(3).shape == expected


@pytest.mark.parametrize("name", MODELS)
def test_its_files_are_whole_and_its_card_has_figures_and_pictures(name):
    folder = zoo.zoo_folder(name)
    description = read_description(folder)
    for path in folder.iterdir():
        if path.name != "config.json":
            read_file(folder, path.name)
    card = (folder / "README.md").read_text()
    results = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"][0]["metrics"]
    assert {"accuracy", "map_at_r", "mse"} <= {one["type"] for one in results}
    assert description.metrics["accuracy"] > 0.8
    assert description.data_fingerprint
    assert description.config.dataset.root is None
    pictures = re.findall(r"\]\((\w+\.png)\)", card)
    assert {"nearest.png", "reconstructions.png", "samples.png"} <= set(pictures)
    for picture in pictures:
        Image.open(folder / picture).load()


def test_the_digits_model_reaches_the_figures_of_its_card():
    from triptych.data.builder import load_dataset

    model = triptych.load("digits")
    test = load_dataset("digits").test

    names, _ = model.classify(test.images.float() / 255)
    found = np.mean([name == str(label) for name, label in zip(names, test.labels.tolist(), strict=True)])

    assert found == pytest.approx(model.description.metrics["accuracy"], abs=1e-6)


def test_a_file_or_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(CheckpointError, match="folder without any run"):
        triptych.load("digits")


def test_what_needs_pytorch_reports_it():
    from triptych.artefacts.checkpoint import read_model
    from triptych.artefacts.loading import find_checkpoint

    with pytest.raises(CheckpointError, match=r"ONNX files alone.* Use the checkpoint"):
        read_model(find_checkpoint("digits"))
    with pytest.raises(CheckpointError, match="there is no such file"):
        triptych.load("mnistt")
