"""The content of preprocessor_config.json, in the forms that it has had over the years."""

import pytest

from triptych.models.pretrained.backbone import BackboneError
from triptych.models.pretrained.image_processor import expected_images

THREE = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
CONFIG = {"num_channels": 3, "image_size": 96}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"size": 224}, (224, 224)),
        ({"size": {"height": 32, "width": 48}}, (32, 48)),
        ({"size": [32, 48]}, (32, 48)),
        ({"size": {"shortest_edge": 256}}, (256, 256)),
        ({"size": {"shortest_edge": 9}, "do_center_crop": True, "crop_size": {"height": 8, "width": 6}}, (8, 6)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False, "crop_size": 224}, (256, 256)),
        ({}, (96, 96)),
        ({"size": None}, (96, 96)),
    ],
)  # fmt: skip
def test_the_size_is_what_reaches_the_model(sizes: dict, expected: tuple[int, int]) -> None:
    assert expected_images({**THREE, **sizes}, config=CONFIG, name="m").size == expected


@pytest.mark.parametrize(
    ("rescaling", "factor"),
    [
        ({}, 1.0),
        ({"rescale_factor": 1 / 255}, 1.0),
        ({"rescale_factor": 2 / 255}, 0.5),
        ({"do_rescale": False}, 1 / 255),
    ],
)
def test_the_normalisation_is_that_of_pixels_up_to_one(rescaling: dict, factor: float) -> None:
    images = expected_images({**THREE, **rescaling}, config=CONFIG, name="m")

    pixel = 0.7
    rescaled = (
        pixel * 255 * rescaling.get("rescale_factor", 1 / 255) if rescaling.get("do_rescale", True) else pixel * 255
    )
    for mean, std, ours_mean, ours_std in zip(*THREE.values(), images.mean, images.std, strict=True):
        assert (pixel - ours_mean) / ours_std == pytest.approx((rescaled - mean) / std)
    assert images.std[0] == pytest.approx(0.2 * factor)


def test_without_normalisation_pixels_stay_as_they_are() -> None:
    images = expected_images({"do_normalize": False}, config={"num_channels": 2, "image_size": 8}, name="m")

    assert images == ((8, 8), 2, (0.0, 0.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("processing", "config", "lacking"),
    [
        (THREE, {}, "lacks a size"),
        ({"size": 8}, {}, "lacks image_mean and a positive image_std of its 3 channels"),
        ({"size": 8, **THREE}, {"num_channels": 1}, "of its 1 channels"),
        ({"size": 8, "image_mean": "half", "image_std": [1, 1, 1]}, {}, "lacks image_mean"),
        ({"size": "big", **THREE}, {}, "lacks a size"),
        ({"size": 0, **THREE}, {}, "lacks a size"),
        ({"size": {"height": -8, "width": 8}, **THREE}, {}, "lacks a size"),
        ({"size": 8, **THREE, "image_std": [1, 0, 1]}, {}, "lacks image_mean and a positive image_std"),
        ({"size": 8, **THREE, "image_mean": [1, float("nan"), 1]}, {}, "lacks image_mean"),
        ({"size": 8, **THREE, "rescale_factor": None}, {}, "lacks a positive rescale_factor"),
        ({"size": 8, **THREE, "rescale_factor": 0}, {}, "lacks a positive rescale_factor"),
        ({"size": 8, **THREE, "rescale_factor": "1/255"}, {}, "lacks a positive rescale_factor"),
    ],
)
def test_missing_entries_are_not_guessed(processing: dict, config: dict, lacking: str) -> None:
    with pytest.raises(BackboneError, match=f"got vit, whose preprocessor_config.json .*{lacking}"):
        expected_images(processing, config=config, name="vit")


@pytest.mark.parametrize("step", ["do_flip_channel_order", "rescale_offset", "include_top"])
def test_unsupported_steps_are_rejected_and_disabled_ones_ignored(step: str) -> None:
    with pytest.raises(BackboneError, match=f"needs {step} too"):
        expected_images({**THREE, "size": 8, step: True}, config=CONFIG, name="vit")

    assert expected_images({**THREE, "size": 8, step: False}, config=CONFIG, name="vit").size == (8, 8)
