import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from triptych.losses import KLDivergenceLoss, kl_per_dimension, warmup_factor


def latents(seed, batch, latent_dim):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, batch, latent_dim, dtype=torch.float64, generator=generator).unbind()


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 9), latent_dim=st.integers(1, 9))
def test_is_the_sum_over_dimensions_of_the_mean_over_the_batch(seed, batch, latent_dim):
    mean, log_variance = latents(seed, batch, latent_dim)
    oracle = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(KLDivergenceLoss()(mean, log_variance), oracle.sum(dim=1).mean())
    torch.testing.assert_close(kl_per_dimension(mean, log_variance), oracle.mean(dim=0))


def test_equals_the_expectation_that_it_stands_for():
    mean, log_variance = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-0.4]], dtype=torch.float64)
    points = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    latent = Normal(mean.item(), math.exp(-0.2))
    integrand = latent.log_prob(points).exp() * (latent.log_prob(points) - Normal(0.0, 1.0).log_prob(points))
    assert KLDivergenceLoss()(mean, log_variance).item() == pytest.approx(torch.trapezoid(integrand, points).item())


def test_is_zero_at_the_prior_and_keeps_its_digits_near_it():
    assert KLDivergenceLoss()(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0
    near = torch.full((1, 1), 1e-2)
    assert KLDivergenceLoss()(torch.zeros(1, 1), near).item() == pytest.approx((math.expm1(1e-2) - 1e-2) / 2, rel=1e-4)


@pytest.mark.parametrize("free_bits", [0.0, 0.5])
def test_gradcheck(free_bits):
    mean, log_variance = (part.requires_grad_() for part in latents(1, 4, 6))
    assert torch.autograd.gradcheck(KLDivergenceLoss(free_bits=free_bits), (mean, log_variance))


def test_free_bits_are_charged_to_the_mean_of_each_dimension():
    # KL is mean² / 2 here: dimension 0 costs (0 + 2) / 2 = 1 over the batch, dimension 1 costs (0.02 + 0.02) / 2.
    mean = torch.tensor([[0.0, 0.2], [2.0, -0.2]], requires_grad=True)
    loss = KLDivergenceLoss(free_bits=0.25)(mean, torch.zeros(2, 2))
    assert loss.item() == pytest.approx(1.0 + 0.25)
    loss.backward()
    torch.testing.assert_close(mean.grad, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))


def test_what_is_not_finite_is_not_hidden_by_free_bits():
    assert KLDivergenceLoss(free_bits=0.5)(torch.tensor([[math.nan]]), torch.zeros(1, 1)).isnan()


@pytest.mark.parametrize("free_bits", [-0.1, math.nan, math.inf])
def test_impossible_free_bits_are_rejected(free_bits):
    with pytest.raises(ValueError, match="free_bits must be a finite number of at least 0"):
        KLDivergenceLoss(free_bits=free_bits)


@pytest.mark.parametrize("shapes", [((2, 3), (1, 3)), ((3,), (3,))])
def test_shapes_that_would_broadcast_are_rejected(shapes):
    with pytest.raises(ValueError, match=r"one shape \(B, L\)"):
        KLDivergenceLoss()(*(torch.zeros(shape) for shape in shapes))


def test_warmup_climbs_in_a_straight_line_and_stays():
    factors = [warmup_factor(step, warmup_steps=10) for step in range(15)]
    assert factors == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1, 1, 1])


def test_no_warmup_is_whole_from_the_first_step():
    assert warmup_factor(0, warmup_steps=0) == 1.0


@pytest.mark.parametrize(("step", "warmup_steps"), [(-1, 4), (1, -4), (math.nan, 4)])
def test_an_impossible_warmup_is_rejected(step, warmup_steps):
    with pytest.raises(ValueError, match="step and warmup_steps must be at least 0"):
        warmup_factor(step, warmup_steps=warmup_steps)


def test_prints_its_free_bits():
    assert repr(KLDivergenceLoss(free_bits=0.05)) == "KLDivergenceLoss(free_bits=0.05)"
