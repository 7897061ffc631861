import math

import pytest
import torch

from triptych.models.latent import LOG_VARIANCE_LIMIT, LatentHead, reparameterise


def test_samples_have_the_mean_and_variance_of_the_posterior():
    mean = torch.tensor([-1.0, 0.0, 2.0])
    log_variance = torch.tensor([-4.0, 0.0, 1.5])
    count = 200_000
    samples = reparameterise(mean.expand(count, 3), log_variance.expand(count, 3), torch.randn(count, 3))
    deviation = (0.5 * log_variance).exp()
    # Five standard errors of a mean and of a variance.
    assert ((samples.mean(0) - mean).abs() < 5 * deviation / math.sqrt(count)).all()
    assert ((samples.var(0) / log_variance.exp() - 1).abs() < 5 * math.sqrt(2 / count)).all()


def test_gradients_pass_through_the_sample_to_mean_and_log_variance():
    mean, log_variance = torch.zeros(1, 1, requires_grad=True), torch.full((1, 1), 2.0, requires_grad=True)
    reparameterise(mean, log_variance, torch.tensor([[3.0]])).sum().backward()
    assert mean.grad.item() == 1.0
    assert log_variance.grad.item() == pytest.approx(0.5 * math.e * 3.0)


def test_noise_of_another_shape_is_rejected():
    with pytest.raises(ValueError, match=r"shape \(2, 3\) of the mean, but it has \(3,\); draw it with"):
        reparameterise(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3))


def test_the_posterior_starts_narrow_and_the_same_for_every_image():
    log_variance = LatentHead(4, latent_dim=3)(torch.randn(5, 4))[1]
    torch.testing.assert_close(log_variance, torch.full((5, 3), -3.8), atol=0.01, rtol=0)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_log_variances_stay_in_a_range_that_never_overflows(scale):
    head = LatentHead(4, latent_dim=3)
    torch.nn.init.normal_(head.log_variance.weight)
    log_variance = head(scale * torch.randn(8, 4))[1]
    assert log_variance.abs().max() <= LOG_VARIANCE_LIMIT
    assert log_variance.exp().half().isfinite().all()


def test_log_variances_in_the_used_range_are_left_nearly_alone():
    head = LatentHead(1, latent_dim=1)
    with torch.no_grad():
        head.log_variance.weight.fill_(1.0)
        head.log_variance.bias.fill_(0.0)
    raw = torch.linspace(-2, 2, 9).reshape(-1, 1)
    torch.testing.assert_close(head(raw)[1], raw, atol=0.03, rtol=0)


def test_both_outputs_are_float32_under_autocast():
    head = LatentHead(4, latent_dim=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, log_variance = head(torch.randn(2, 4))
    assert mean.dtype == log_variance.dtype == torch.float32


def test_dimensions_whose_mean_is_fixed_have_one_log_variance_for_all_images():
    head = LatentHead(4, latent_dim=3, fixed_dim=2)
    mean, log_variance = head(torch.randn(5, 4))
    assert mean.shape == (5, 3)
    assert log_variance.shape == (5, 5)
    torch.testing.assert_close(log_variance, torch.full((5, 5), -3.8), atol=0.01, rtol=0)
    with torch.no_grad():
        head.fixed_log_variance.copy_(torch.tensor([0.0, 1e6]))
    torch.testing.assert_close(head(torch.randn(5, 4))[1][:, 3:], torch.tensor([0.0, LOG_VARIANCE_LIMIT]).expand(5, 2))
