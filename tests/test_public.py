"""What users import, by the names and from the places that the README gives."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import triptych

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", triptych.__all__)
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    value = getattr(triptych, name)

    if name != "__version__":
        assert value.__name__ == name
        assert inspect.getdoc(value)
        assert name in dir(triptych)


def test_nothing_public_is_left_out_of_the_list() -> None:
    assert set(triptych.__all__) == {*triptych.PUBLIC, "__version__"}
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
