import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from triptych.metrics import reconstruction_scores


def images(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def naive_ssim(ours, theirs, deviation=1.5):
    """Wang et al. 2004, equation 13, for one channel (H, W), with the borders reflected."""
    reach = int(3.5 * deviation + 0.5)
    window = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(values):
        return convolve(values, window, mode="mirror")

    x, y = ours.double().numpy(), theirs.double().numpy()
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y, covariance = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    upper = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (upper / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))).mean()


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 12, 20), (2, 1, 28, 28), (1, 3, 7, 9)])
def test_scores_equal_the_formulas(shape):
    ours, theirs = images(0, *shape), images(1, *shape)
    ours = 0.7 * theirs + 0.3 * ours
    scores = reconstruction_scores(ours, theirs)
    for number in range(shape[0]):
        error = (ours[number].double() - theirs[number].double()).square().mean().item()
        assert scores.mse[number].item() == pytest.approx(error, rel=1e-5)
        assert scores.psnr[number].item() == pytest.approx(10 * math.log10(1 / error), rel=1e-5)
        ssim = [naive_ssim(a, b) for a, b in zip(ours[number], theirs[number], strict=True)]
        assert scores.ssim[number].item() == pytest.approx(sum(ssim) / len(ssim), rel=1e-4)


@pytest.mark.parametrize(("side", "deviation"), [(6, 5 / 3.5), (3, 2 / 3.5), (2, 1 / 3.5)])
def test_tiny_images_get_a_smaller_window(side, deviation):
    ours, theirs = images(2, 1, 1, side, side), images(3, 1, 1, side, side)
    expected = naive_ssim(ours[0, 0], theirs[0, 0], deviation)
    assert reconstruction_scores(ours, theirs).ssim.item() == pytest.approx(expected, rel=1e-4)


def test_a_single_pixel_has_its_brightness_compared():
    scores = reconstruction_scores(torch.full((1, 1, 1, 1), 0.5), torch.ones(1, 1, 1, 1))
    assert scores.ssim.item() == pytest.approx((2 * 0.5 + 1e-4) / (0.25 + 1 + 1e-4), rel=1e-4)


def test_a_perfect_image_has_the_highest_scores_and_black_for_white_the_lowest_psnr():
    original = images(4, 2, 1, 8, 8)
    perfect = reconstruction_scores(original, original)
    assert perfect.mse.tolist() == [0, 0]
    assert perfect.psnr.tolist() == [100, 100]
    assert perfect.ssim.tolist() == pytest.approx([1, 1])
    wrong = reconstruction_scores(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    assert (wrong.mse.item(), wrong.psnr.item()) == (1, 0)
    assert wrong.ssim.item() == pytest.approx(1e-4, rel=1e-2)


def test_batches_scored_one_by_one_are_the_whole():
    ours, theirs = images(5, 6, 3, 10, 10), images(6, 6, 3, 10, 10)
    whole = reconstruction_scores(ours, theirs)
    parts = [reconstruction_scores(a, b) for a, b in zip(ours.split(4), theirs.split(4), strict=True)]
    for field, joined in zip(whole, (torch.cat(field) for field in zip(*parts, strict=True)), strict=True):
        assert field.dtype == torch.float32
        torch.testing.assert_close(field, joined)


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 9), r"must have one shape \(B, C, H, W\)"),
        (torch.zeros(1, 8, 8), torch.zeros(1, 8, 8), r"the shapes are \(1, 8, 8\)"),
        (torch.zeros(0, 1, 8, 8), torch.zeros(0, 1, 8, 8), "with no 0 in it"),
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "images must hold floats"),
    ],
)
def test_what_is_no_batch_of_images_is_rejected(ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        reconstruction_scores(ours, theirs)
