import pytest
import torch

from triptych.models.pixels import PixelStandardisation


def make_pixels(**changes) -> PixelStandardisation:
    sizes = {"image_size": (4, 6), "in_channels": 3, "mean": (0.1, 0.2, 0.3), "std": (0.5, 1.0, 2.0), **changes}
    return PixelStandardisation(sizes.pop("image_size"), **sizes)


def test_each_channel_is_shifted_by_its_mean_and_divided_by_its_deviation():
    images = torch.rand(2, 3, 4, 6)
    expected = torch.stack([(images[:, 0] - 0.1) / 0.5, (images[:, 1] - 0.2) / 1.0, (images[:, 2] - 0.3) / 2.0], dim=1)
    torch.testing.assert_close(make_pixels()(images), expected)


def test_one_number_serves_all_channels():
    images = torch.rand(2, 3, 4, 6)
    torch.testing.assert_close(make_pixels(mean=0.5, std=0.25)(images), (images - 0.5) / 0.25)


def test_a_channel_that_never_changes_is_only_shifted():
    images = torch.full((1, 3, 4, 6), 0.7)
    standardised = make_pixels(mean=0.5, std=(0.0, 0.5, 0.5))(images)
    torch.testing.assert_close(standardised[0, :, 0, 0], torch.tensor([0.2, 0.4, 0.4]))


def test_mean_and_deviation_are_saved_with_the_weights():
    other = make_pixels(mean=0.0, std=1.0)
    other.load_state_dict(make_pixels().state_dict())
    images = torch.rand(1, 3, 4, 6)
    assert torch.equal(other(images), make_pixels()(images))


@pytest.mark.parametrize(
    ("module", "images"), [("float32", "float64"), ("float64", "float32"), ("bfloat16", "float32")]
)
def test_images_take_the_precision_of_the_model(module, images):
    pixels = make_pixels().to(getattr(torch, module))
    assert pixels(torch.rand(1, 3, 4, 6, dtype=getattr(torch, images))).dtype == getattr(torch, module)


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 1, 4, 6), (2, 3, 6, 4), (2, 3, 4, 6, 1), (2, 4, 6, 3)])
def test_images_of_another_shape_are_rejected_with_the_expected_one(shape):
    with pytest.raises(ValueError, match=r"must have the shape \(B, 3, 4, 6\), but it is .*; resize or pad"):
        make_pixels()(torch.rand(shape))


def test_bytes_are_rejected_with_the_advice_to_divide_by_255():
    with pytest.raises(ValueError, match=r"floating point.*in \[0, 1\], but they are torch.uint8; divide by 255"):
        make_pixels()(torch.zeros(2, 3, 4, 6, dtype=torch.uint8))


@pytest.mark.parametrize("numbers", [(0.5, 0.5), (), (0.1, float("nan"), 0.1), float("inf")])
def test_statistics_that_fit_no_channel_count_or_are_not_finite_are_rejected(numbers):
    with pytest.raises(ValueError, match=r"pixel_mean must be one finite number or one for each of the 3 channels"):
        make_pixels(mean=numbers)
    with pytest.raises(ValueError, match=r"pixel_std must be one finite number"):
        make_pixels(std=numbers)


def test_a_negative_deviation_is_rejected():
    with pytest.raises(ValueError, match=r"pixel_std must not be negative, but it is -1\.0"):
        make_pixels(std=-1.0)
