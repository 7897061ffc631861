import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from triptych.losses import kl_per_dimension
from triptych.metrics import active_units, evidence_lower_bound, kl_per_image


def posterior(seed, count, columns):
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, count, columns, generator=generator)
    return mean, log_variance


def test_kl_is_that_of_the_distributions_and_its_mean_is_the_losss():
    mean, log_variance = posterior(0, 9, 4)
    found = kl_per_image(mean, log_variance)
    prior = Normal(torch.zeros(()).double(), torch.ones(()).double())
    torch.testing.assert_close(found, kl_divergence(Normal(mean.double(), (log_variance.double() / 2).exp()), prior))
    torch.testing.assert_close(found.mean(dim=0).float(), kl_per_dimension(mean, log_variance))


def test_kl_keeps_its_digits_near_the_prior():
    near = kl_per_image(torch.zeros(1, 1), torch.full((1, 1), 1e-3)).item()
    assert near == pytest.approx((math.expm1(1e-3) - 1e-3) / 2, rel=1e-6)


def test_units_are_active_where_their_mean_varies_with_the_image():
    # The variances are just below 0.01, 0.0121, and 0.
    mean = torch.tensor([[0.1, 0.11, 5.0], [-0.1, -0.11, 5.0]], dtype=torch.float64)
    assert active_units(mean * torch.tensor([0.999, 1.0, 1.0])).tolist() == [False, True, False]
    assert active_units(mean[:1]).tolist() == [False, False, False]


def test_the_bound_is_that_of_the_best_shared_variance():
    generator = torch.Generator().manual_seed(1)
    squared_error, kl = torch.rand(2, 7, dtype=torch.float64, generator=generator)
    pixels = 12
    found = evidence_lower_bound(squared_error, kl, pixels=pixels)

    def bound(variance):
        likelihood = -pixels / 2 * (math.log(2 * math.pi * variance) + squared_error / variance)
        return (likelihood - kl).mean().item()

    best = squared_error.mean().item()
    assert found == pytest.approx(bound(best))
    assert found == pytest.approx(max(bound(best * factor) for factor in (0.5, 0.9, 1.0, 1.1, 2.0)))


def test_nothing_in_error_has_no_bound():
    assert evidence_lower_bound(torch.zeros(2), torch.ones(2), pixels=4) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: active_units(torch.zeros(3)), "mean must be a matrix"),
        (
            lambda: kl_per_image(torch.zeros(3, 2), torch.zeros(3, 1)),
            r"mean and log_variance must have one shape \(N, L\)",
        ),
        (lambda: kl_per_image(torch.zeros(3), torch.zeros(3)), r"the shapes are \(3,\) and \(3,\)"),
        (lambda: evidence_lower_bound(torch.zeros(3), torch.zeros(2), pixels=4), r"must have one shape \(N,\)"),
        (lambda: evidence_lower_bound(torch.zeros(0), torch.zeros(0), pixels=4), "with no 0 in it"),
        (lambda: evidence_lower_bound(torch.zeros(2), torch.zeros(2), pixels=0), "pixels must be a whole number"),
    ],
)
def test_arguments_that_make_no_sense_are_rejected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
