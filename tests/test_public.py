"""What users import, by the names and from the places that the README gives."""

import inspect
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import triptych
from triptych.errors import DataError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", triptych.__all__)
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    value = getattr(triptych, name)

    if name != "__version__":
        assert value.__name__ == name
        assert inspect.getdoc(value)
        assert name in dir(triptych)


def test_nothing_public_is_left_out_of_the_list() -> None:
    own = {name for name, value in vars(triptych).items() if inspect.isfunction(value) and not name.startswith("_")}

    assert set(triptych.__all__) == {*triptych.PUBLIC, *own, "__version__"}
    assert list(triptych.__all__) == sorted(triptych.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'triptych' has no attribute 'load_everything'"):
        triptych.load_everything  # noqa: B018


def test_the_version_is_a_release_number() -> None:
    assert [part.isdecimal() for part in triptych.__version__.split(".")] == [True] * 3


def test_the_original_import_line_works() -> None:
    program = (
        "from run import load_lightning_model, load_model, TripletDataset\n"
        "import triptych\n"
        "assert load_lightning_model is triptych.load_lightning_model\n"
        "assert load_model is triptych.load_model\n"
        "assert TripletDataset is triptych.TripletDataset\n"
    )

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


def test_the_data_set_of_triplets_is_used_as_it_is_documented() -> None:
    images = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8)
    dataset = triptych.TripletDataset(images, torch.arange(12) % 3, augment=None, seed=0)

    anchor, positive, negative, label = dataset[5]

    assert len(dataset) == 12
    assert anchor.shape == positive.shape == negative.shape == (1, 8, 8)
    assert int(label) == 2


def test_the_losses_are_used_as_they_are_documented() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(8, 4), dim=1)

    drawn = triptych.TripletLoss(margin=0.2)(embeddings[:2], embeddings[2:4], embeddings[4:6])
    mined = triptych.BatchTripletLoss(margin=0.2, mining="semihard")(embeddings, torch.arange(8) % 2)

    assert drawn.ndim == mined.ndim == 0


def test_the_installed_command_is_the_one_that_the_project_names() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert scripts == {"triptych": "triptych.cli.main:main"}


FUNCTIONS = [name for name in triptych.__all__ if inspect.isfunction(getattr(triptych, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_types_and_an_example(name: str) -> None:
    function = getattr(triptych, name)

    assert ">>> " in (inspect.getdoc(function) or "")
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


@pytest.mark.parametrize("place", [str, Path])
def test_places_are_text_or_paths(place: type, example_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example_folder)

    model = triptych.load(place("best.ckpt"), device="cpu")
    figures = triptych.evaluate(
        place("best.ckpt"), split="val", root=place("photos"), output=place("measured"), report=False
    ).figures

    assert len(model.embed(place("photos"))) == 24
    again = triptych.evaluate(model, split="val", output="measured", report=False).figures
    np.testing.assert_equal(figures, again)  # NaN equals NaN here
    assert not triptych.examine(place("photos.yaml")).has_errors
    assert triptych.load_model(place("best.ckpt"))[1].keys() == {"state_dict", "hyper_parameters"}


def test_images_of_other_classes_are_not_those_of_the_model(example_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(example_folder / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "dog").rename(tmp_path / "photos" / "wolf")

    for function in (triptych.evaluate, triptych.audit):
        with pytest.raises(DataError, match="expected images of the model's classes, cat, dog; got cat, wolf"):
            function(example_folder / "best.ckpt", root=tmp_path / "photos")
