"""Whatever the images are like, what is suggested is a config that can be run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.inspection.flips import Flips
from triptych.inspection.suggestion.choices import Facts, suggest
from triptych.inspection.suggestion.commented import Chosen, commented

PHOTOS = Facts(
    name="folder",
    root="photos",
    counts=(500, 400, 600),
    has_validation=False,
    has_test=False,
    sizes=((480, 640), (640, 480), (500, 500)),
    channels=3,
    unreadable=0,
    flips=Flips(True, "photographs"),
)


def read(choices: dict[str, Chosen], folder: Path) -> RunConfig:
    path = folder / "suggested.yaml"
    path.write_text(commented(choices, head="Mine."))
    return load_config(path)


@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("side", [8, 28, 48, 96, 600])
@pytest.mark.parametrize("counts", [(1, 1), (3, 900), (6000,) * 10, (2,) * 500, (40_000,) * 10])
def test_every_suggestion_can_be_run(
    counts: tuple[int, ...], side: int, channels: int, has_gpu: bool, tmp_path: Path
) -> None:
    sizes = ((side, side), (side, side * 4 // 3), (side * 4 // 3, side))
    facts = replace(PHOTOS, counts=counts, sizes=sizes, channels=channels)

    config = read(suggest(facts, has_gpu=has_gpu), tmp_path)

    _, height, width = config.dataset.image_shape
    tokens = height * width // config.model.patch_size**2
    assert 4 <= tokens <= 256
    assert config.dataset.batch_size * height * width <= 4_000_000 or config.dataset.batch_size == 4


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        ({}, "dataset.augmentation.horizontal_flip", 0.5),
        ({"flips": Flips(False, "icons")}, "dataset.augmentation.horizontal_flip", 0),
        ({"unreadable": 2}, "dataset.on_corrupt", "skip"),
        ({"counts": (10, 100)}, "dataset.sampling", "class_balanced"),
        ({"counts": (20,) * 1000}, "dataset.sampling", "pk"),
        ({"counts": (10,) * 10}, "dataset.batch_size", 32),
        ({"counts": (100,) * 10}, "dataset.batch_size", 32),
        ({"counts": (6000,) * 10}, "dataset.batch_size", 512),
        ({"channels": 1}, "dataset.channels", 1),
        ({"name": "table"}, "dataset.name", "table"),
        ({"columns": {"label": "species"}}, "dataset.columns.label", "species"),
        ({"epochs": 3}, "training.epochs", 3),
        ({"image_size": (40, 64)}, "dataset.image_size", [40, 64]),
        ({"image_size": (100, 100)}, "dataset.image_size", 100),
    ],
)
def test_what_was_seen_decides(changes: dict[str, Any], key: str, value: object) -> None:
    assert suggest(replace(PHOTOS, **changes), has_gpu=False)[key].value == value


def test_many_small_images_get_the_shape_of_the_shipped_config() -> None:
    small = replace(PHOTOS, counts=(6000,) * 10, sizes=((32, 32),))
    shipped = load_config(Path(__file__).parents[3] / "configs" / "cifar10.yaml").model

    many = suggest(small, has_gpu=False)

    for key in (
        "patch_size",
        "embed_dim",
        "num_heads",
        "num_layers",
        "latent_dim",
        "principal_components",
        "decoder_dim",
    ):
        assert many[f"model.{key}"].value == getattr(shipped, key)


@pytest.mark.parametrize("key", ["dataset.on_corrupt", "dataset.sampling", "dataset.pad"])
def test_findings_without_content_are_omitted(key: str) -> None:
    assert key not in suggest(PHOTOS, has_gpu=False)


def test_images_of_their_own_are_not_taken_from_training() -> None:
    choices = suggest(replace(PHOTOS, has_validation=True, has_test=True), has_gpu=False)

    assert not {"dataset.validation_fraction", "dataset.test_fraction"} & set(choices)


def test_the_reason_against_flips_is_written_beside_them() -> None:
    choices = suggest(replace(PHOTOS, flips=Flips(False, "strokes on a plain background")), has_gpu=False)

    assert choices["dataset.augmentation.horizontal_flip"].reason == "none: strokes on a plain background"
    assert "dataset.augmentation.rotation" in choices


@pytest.mark.parametrize("size", [(8, 8), (30, 30), (64, 64), (100, 64), (101, 64), (33, 33), (224, 300), (1024, 8)])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_requested_size_is_kept_or_nearly_kept_and_can_be_run(
    size: tuple[int, int], has_gpu: bool, tmp_path: Path
) -> None:
    config = read(suggest(replace(PHOTOS, image_size=size), has_gpu=has_gpu), tmp_path)

    _, height, width = config.dataset.stored_shape
    assert abs(height - size[0]) <= 8
    assert abs(width - size[1]) <= 8
    if size in ((8, 8), (30, 30), (64, 64), (100, 64)):
        assert (height, width) == size
