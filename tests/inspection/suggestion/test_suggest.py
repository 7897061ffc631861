from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.config import load_config
from triptych.errors import ConfigError, DataError
from triptych.inspection import examine
from triptych.inspection.suggestion import suggest_config


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def photos(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), size: tuple[int, int] = (40, 40)) -> Path:
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(30):
            Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_the_text_reads_back_as_the_config(tmp_path: Path, kind: type) -> None:
    suggestion = suggest_config(kind(photos(tmp_path / "photos")))

    suggestion.write(tmp_path / "run.yaml")

    assert load_config(tmp_path / "run.yaml") == suggestion.config
    assert suggestion.config.dataset.root == str(tmp_path / "photos")
    assert (tmp_path / "run.yaml").read_text() == suggestion.text(tmp_path / "run.yaml")


def test_requests_are_followed(tmp_path: Path) -> None:
    config = suggest_config(photos(tmp_path / "photos"), flips=False, image_size=(32, 48), epochs=7).config

    assert config.dataset.augmentation.horizontal_flip == 0
    assert config.dataset.image_size == [32, 48]
    assert config.training.epochs == 7


@pytest.mark.parametrize("request_", [{"image_size": 3}, {"image_size": (32, 5000)}, {"epochs": 0}])
def test_requests_out_of_range_are_config_errors(tmp_path: Path, request_: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="1 error"):
        suggest_config(photos(tmp_path / "photos"), **request_)


def test_an_existing_config_is_overwritten_only_by_force(tmp_path: Path) -> None:
    suggestion = suggest_config(photos(tmp_path / "photos"))
    (tmp_path / "run.yaml").write_text("mine")

    with pytest.raises(DataError, match="exists"):
        suggestion.write(tmp_path / "run.yaml")
    assert (tmp_path / "run.yaml").read_text() == "mine"
    suggestion.write(tmp_path / "run.yaml", force=True)
    assert load_config(tmp_path / "run.yaml") == suggestion.config


@pytest.mark.parametrize("classes", [("cat", "dog"), ("go-next", "go-previous"), ("1", "2"), ("icons", "letters")])
@pytest.mark.parametrize("size", [(40, 40), (24, 80)])
def test_the_doctor_agrees_with_suggested_flips(
    tmp_path: Path, classes: tuple[str, ...], size: tuple[int, int]
) -> None:
    suggestion = suggest_config(photos(tmp_path / "photos", classes, size))

    found = examine(suggestion.config, ["dataset.augmentation.horizontal_flip=0.5"])

    assert suggestion.flips.helpful == all(finding.topic != "flips" for finding in found.findings)
    assert suggestion.flips.helpful == (suggestion.config.dataset.augmentation.horizontal_flip > 0)


def test_the_estimate_grows_with_the_epochs(tmp_path: Path) -> None:
    suggestion = suggest_config(photos(tmp_path / "photos"), epochs=2)

    assert suggestion.estimated_seconds() > 0


def test_another_type_than_a_path_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"expected a path \(str or Path\) of a folder or table; got int"):
        suggest_config(7)  # type: ignore[arg-type]
