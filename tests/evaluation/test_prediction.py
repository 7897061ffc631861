"""Predictions of a real run: its own classes, and images that are unlike all that it was trained on."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from triptych.artefacts.loading import load
from triptych.evaluation.opening import find_model
from triptych.evaluation.prediction import Predictions, csv_rows, predict, write_predictions


@pytest.fixture(scope="module")
def files(reported: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty test digits, noise, and a file that is no image."""
    folder = tmp_path_factory.mktemp("new")
    for number, image in enumerate(reported.evaluation.split.images[:20, 0]):
        Image.fromarray(image.numpy()).save(folder / f"{number:02d}.png")
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    (folder / "zz.png").write_text("no image")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def found(reported: Any, files: list[Path]) -> Predictions:
    return predict(reported.folder, files)


def test_predictions_are_those_of_the_model(found: Predictions, reported: Any, files: list[Path]) -> None:
    expected = reported.evaluation.outputs.probabilities[:20].max(1)
    classes = load(reported.folder).classes

    assert found.paths == tuple(map(str, files))
    assert found.classes[:20] == tuple(classes[label] for label in expected.indices.tolist())
    np.testing.assert_allclose(found.confidence[:20], expected.values, atol=1e-4)


def test_noise_is_unlike_the_training_images_and_digits_are_not(found: Predictions) -> None:
    assert found.unlike_training[20] is True
    assert sum(map(bool, found.unlike_training[:20])) <= 2


def test_a_file_that_is_no_image_has_no_class(found: Predictions, files: list[Path]) -> None:
    assert (found.classes[-1], found.unlike_training[-1]) == (None, None)
    assert math.isnan(found.confidence[-1])
    assert list(found.problems) == [str(files[-1])]


def test_predictions_are_written_as_csv_and_as_parquet(found: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "found.csv", found)
    write_predictions(tmp_path / "found.parquet", found)

    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "found.parquet").to_pylist()
    assert [row["path"] for row in rows] == [row["path"] for row in table] == list(found.paths)
    assert rows[-1] == {"path": found.paths[-1], "class": "", "confidence": "", "unlike_training": ""}
    assert [row["unlike_training"] for row in table] == list(found.unlike_training)
    assert table[-1]["confidence"] is None
    assert table[0]["confidence"] == pytest.approx(found.confidence[0])


def test_files_that_cannot_be_decoded_say_nothing_of_the_images_of_the_run() -> None:
    def predictions(*rows: tuple[str | None, bool | None]) -> Predictions:
        classes, unlike = zip(*rows, strict=True)
        return Predictions(("a",) * len(rows), classes, np.zeros(len(rows), np.float32), unlike, {})

    assert not predictions((None, None)).lacks_reference
    assert not predictions(("cat", False), (None, None)).lacks_reference
    assert predictions(("cat", None), (None, None)).lacks_reference


def test_no_cell_is_a_formula() -> None:
    found = Predictions(("=x.png",), ("@cat",), np.array([0.5], dtype=np.float32), (False,), {})

    assert list(csv_rows(found))[1] == ("'=x.png", "'@cat", "0.5", "no")


def test_names_that_are_not_utf_8_are_written(tmp_path: Path) -> None:
    found = Predictions(("caf\udce9.png",), ("cat",), np.array([0.5], dtype=np.float32), (False,), {})

    write_predictions(tmp_path / "found.csv", found)
    write_predictions(tmp_path / "found.parquet", found)

    assert (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()[
        1
    ] == "caf\N{REPLACEMENT CHARACTER}.png,cat,0.5,no"
    assert pyarrow.parquet.read_table(tmp_path / "found.parquet")["path"].to_pylist() == [
        "caf\N{REPLACEMENT CHARACTER}.png"
    ]


def test_arrays_and_loaded_models_serve_too(reported: Any) -> None:
    model = load(reported.folder)

    found = predict(model, list(reported.evaluation.split.images[:3, 0].numpy()))

    assert found.paths == ("", "", "")
    assert len(found) == 3
    assert find_model(model) == model.path
