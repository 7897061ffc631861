"""Whole folders of photographs with planted faults, examined as `triptych doctor` does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from triptych.config.schema import RunConfig
from triptych.inspection import Examination, Finding, Severity, examine

SIDE = 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A smooth picture that no other resembles."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """40 images each of two classes for training, 20 each for validation and test."""
    seed = 0
    for split, count in (("train", 40), ("val", 30), ("test", 30)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture(seed := seed + 1).save(folder / f"{number}.png")
    return tmp_path / "photos"


def examined(root: Path, **dataset: object) -> Examination:
    values: dict[str, Any] = {"name": "folder", "root": str(root), "image_size": SIDE, "batch_size": 16, **dataset}
    return examine(RunConfig.model_validate({"dataset": values}))


def findings(root: Path, **dataset: object) -> dict[str, Finding]:
    return {finding.topic: finding for finding in examined(root, **dataset).findings}


def test_nothing_is_found_where_nothing_is_wrong(photos: Path) -> None:
    found = examined(photos)

    assert found.findings == ()
    assert not found.has_errors
    assert found.counts() == {name: {"train": 40, "validation": 30, "test": 30} for name in ("cat", "dog")}


def test_facts_are_those_of_the_pixels_and_files_and_can_be_written_as_json(photos: Path) -> None:
    picture(9_000, (50, 100)).save(photos / "train" / "cat" / "large.png")

    facts = json.loads(json.dumps(examined(photos).facts()))

    assert facts["images"] == {"train": 81, "validation": 60, "test": 60}
    assert facts["files"]["height"] == {"min": 32, "median": 32, "max": 50}
    assert facts["files"]["aspect_ratio"]["max"] == 2
    (photos / "train" / "cat" / "large.png").unlink()
    train = np.stack([np.asarray(Image.open(file)) for file in sorted((photos / "train").rglob("*.png"))]) / 255
    facts = examined(photos).facts()
    assert facts["pixel_mean"] == pytest.approx(train.mean((0, 1, 2)).tolist(), abs=1e-6)
    assert facts["pixel_deviation"] == pytest.approx(train.std((0, 1, 2)).tolist(), abs=1e-6)


@pytest.mark.parametrize(("policy", "severity"), [("error", Severity.ERROR), ("skip", Severity.WARNING)])
def test_corrupt_files_are_listed_with_what_will_be_done(photos: Path, policy: str, severity: Severity) -> None:
    (photos / "train" / "dog" / "bad.jpg").write_text("no image")

    found = findings(photos, on_corrupt=policy)["corrupt files"]

    assert found.severity is severity
    assert "1 of 201 images" in found.text
    assert found.examples[0].startswith("train/dog/bad.jpg is none of JPEG")


def copied(image: Image.Image) -> Image.Image:
    return image


def dimmed(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value * 0.9)


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.7))


@pytest.mark.parametrize(
    ("change", "kind"), [(copied, "1 exact, 0 near"), (dimmed, "0 exact, 1 near"), (blurred, "0 exact, 1 near")]
)
def test_duplicates_between_splits_are_leaks(
    photos: Path, change: Callable[[Image.Image], Image.Image], kind: str
) -> None:
    change(Image.open(photos / "train" / "cat" / "3.png")).save(photos / "test" / "cat" / "copy.png")

    found = findings(photos)

    assert found.keys() == {"leakage into test"}
    assert found["leakage into test"].severity is Severity.ERROR
    assert kind in found["leakage into test"].text
    assert found["leakage into test"].examples == ("train/cat/3.png = test/cat/copy.png",)


def test_a_leak_into_validation_is_a_warning(photos: Path) -> None:
    Image.open(photos / "train" / "cat" / "3.png").save(photos / "val" / "cat" / "copy.png")

    found = examined(photos)

    assert [(one.topic, one.severity) for one in found.findings] == [("leakage into validation", Severity.WARNING)]
    assert not found.has_errors


def test_a_leak_of_one_in_a_hundred_is_only_noted(photos: Path) -> None:
    for number in range(60):
        picture(5_000 + number).save(photos / "test" / "cat" / f"more{number}.png")
    Image.open(photos / "train" / "cat" / "3.png").save(photos / "test" / "cat" / "copy.png")

    found = examined(photos)

    assert [(one.topic, one.severity) for one in found.findings] == [("leakage into test", Severity.NOTE)]


def test_the_same_picture_in_two_classes_is_a_contradiction(photos: Path) -> None:
    for number in range(3):
        Image.open(photos / "train" / "cat" / f"{number}.png").save(photos / "train" / "dog" / f"copy{number}.png")

    found = findings(photos)

    assert found.keys() == {"contradictory labels"}
    assert found["contradictory labels"].severity is Severity.ERROR
    assert found["contradictory labels"].examples[0] == "train/cat/0.png = train/dog/copy0.png"


def test_duplicates_within_a_class_are_noted(photos: Path) -> None:
    Image.open(photos / "train" / "cat" / "3.png").save(photos / "train" / "cat" / "copy.png")

    found = findings(photos)

    assert found.keys() == {"duplicates"}
    assert found["duplicates"].severity is Severity.NOTE


def test_empty_images_are_counted_whatever_the_padding(photos: Path) -> None:
    Image.new("RGB", (SIDE, SIDE), (200, 0, 0)).save(photos / "train" / "cat" / "red.png")

    for pad in (0, 4):
        found = findings(photos, pad=pad)
        assert found.keys() == {"empty images"}
        assert "1 image has" in found["empty images"].text


def test_images_that_are_all_alike_are_wrong(photos: Path) -> None:
    for file in photos.rglob("*.png"):
        Image.new("RGB", (SIDE, SIDE), (9, 9, 9)).save(file)

    assert findings(photos)["no content"].severity is Severity.ERROR


def test_flips_of_signs_are_a_warning(photos: Path) -> None:
    left = Image.fromarray(np.tril(np.full((SIDE, SIDE), 255, np.uint8)))
    for file in photos.rglob("*.png"):
        noise = np.random.default_rng(int(file.stem)).integers(0, 40, (SIDE, SIDE), np.uint8)
        arrow = left if file.parent.name == "cat" else left.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        Image.fromarray(np.maximum(np.asarray(arrow), noise)).save(file)

    assert "flips" not in findings(photos)
    found = findings(photos, augmentation={"horizontal_flip": 0.5})["flips"]
    assert found.severity is Severity.WARNING
    assert "areas of one tone" in found.text


@pytest.mark.parametrize(
    ("size", "dataset", "topic"),
    [
        ((10, 12), {}, "enlarged images"),
        ((30, 90), {"fit": "letterbox"}, "aspect ratio"),
        ((30, 90), {"fit": "crop"}, "aspect ratio"),
        ((30, 90), {"fit": "stretch"}, "aspect ratio"),
        ((30, 40), {"channels": 1}, "colours"),
    ],
)
def test_what_is_lost_on_the_way_to_the_size_is_reported(
    tmp_path: Path, size: tuple[int, int], dataset: dict[str, Any], topic: str
) -> None:
    for number in range(60):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number, size).save(folder / f"{number}.png")

    assert topic in findings(tmp_path / "photos", **dataset)


def test_proportions_that_fit_are_not_complained_of(tmp_path: Path) -> None:
    for number in range(60):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number, (32, 96)).save(folder / f"{number}.png")

    assert "aspect ratio" not in findings(tmp_path / "photos", image_size=[32, 96])


def test_known_data_sets_are_examined_too() -> None:
    found = examine(RunConfig.model_validate({"dataset": {"name": "digits"}, "model": {"patch_size": 2}}))

    assert found.sizes is None
    assert sum(counts["test"] for counts in found.counts().values()) == 360
    assert not found.has_errors


def test_flips_of_known_data_sets_are_judged_by_their_class_names() -> None:
    values = {"dataset": {"name": "digits", "augmentation": {"horizontal_flip": 0.5}}, "model": {"patch_size": 2}}

    assert any(finding.topic == "flips" for finding in examine(values).findings)


def test_warnings_of_pillow_are_summed_up_at_every_reading(
    photos: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    for number in range(12):
        path = photos / "train" / "cat" / f"{number}.tif"
        picture(number).save(path, compression="tiff_lzw")
        path.write_bytes(path.read_bytes()[:-20])

    assert "corrupt files" in findings(photos, on_corrupt="skip")

    assert 1 <= capfd.readouterr().err.count("Truncated File Read") < 12
    assert not [warning for warning in recwarn if "PIL" in warning.filename]
