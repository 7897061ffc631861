import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

from triptych.losses import ReconstructionLoss


def gaussian(reconstruction, images):
    """The likelihood of every pixel under a normal distribution of the batch's own deviation."""
    deviation = (reconstruction - images).square().mean().sqrt()
    return -Normal(reconstruction, deviation).log_prob(images).mean()


PEERS = {"mse": F.mse_loss, "bce": F.binary_cross_entropy, "gaussian": gaussian}
every_kind = pytest.mark.parametrize("kind", PEERS)


def pictures(seed, batch=3, channels=2, height=4, width=5):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(2, batch, channels, height, width, dtype=torch.float64, generator=generator)
    return (drawn * 0.998 + 0.001).unbind()


@every_kind
@settings(deadline=None)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 4), channels=st.integers(1, 3), side=st.integers(1, 5))
def test_is_the_mean_over_all_pixels(kind, seed, batch, channels, side):
    reconstruction, images = pictures(seed, batch, channels, side, side + 1)
    torch.testing.assert_close(
        ReconstructionLoss(kind=kind)(reconstruction, images), PEERS[kind](reconstruction, images)
    )


@every_kind
def test_each_image_has_the_error_of_its_own_pixels(kind):
    reconstruction, images = pictures(0)
    loss = ReconstructionLoss(kind=kind)
    error = F.mse_loss if kind == "gaussian" else PEERS[kind]
    single = torch.stack([error(one, other) for one, other in zip(reconstruction, images, strict=True)])
    torch.testing.assert_close(loss.per_image(reconstruction, images), single)
    assert torch.equal(loss(reconstruction, images), loss.reduce(loss.per_image(reconstruction, images)))


@every_kind
def test_gradcheck(kind):
    reconstruction, images = pictures(1, height=2, width=2)
    assert torch.autograd.gradcheck(ReconstructionLoss(kind=kind), (reconstruction.requires_grad_(), images))


@every_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_black_and_white_cost_a_finite_loss_and_gradient(kind, dtype):
    reconstruction = torch.tensor([0.0, 1.0, 0.0, 1.0, -0.1, 1.1], dtype=dtype).reshape(1, 1, 2, 3).requires_grad_()
    images = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 1.0]).reshape(1, 1, 2, 3)
    loss = ReconstructionLoss(kind=kind)(reconstruction, images)
    loss.backward()
    assert loss.isfinite()
    assert reconstruction.grad.isfinite().all()


def test_cross_entropy_right_is_free_and_wrong_costs_at_most_14_nats():
    black, white = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    loss = ReconstructionLoss(kind="bce")
    assert loss(white, white).item() == pytest.approx(0.0, abs=2e-6)
    assert loss(black, white).item() == pytest.approx(-math.log(1e-6))
    assert loss(white, black).item() == pytest.approx(-math.log(1e-6), rel=1e-2)


@every_kind
def test_a_pixel_that_is_not_a_number_makes_the_loss_so(kind):
    reconstruction, images = pictures(2)
    reconstruction[0, 0, 0, 0] = math.nan
    assert ReconstructionLoss(kind=kind)(reconstruction, images).isnan()


def test_an_unknown_kind_is_rejected():
    with pytest.raises(ValueError, match="kind must be one of mse, bce, gaussian, but it is 'mae'"):
        ReconstructionLoss(kind="mae")


@pytest.mark.parametrize("shapes", [((2, 1, 4, 4), (2, 3, 4, 4)), ((4, 4), (4, 4))])
def test_shapes_that_would_broadcast_are_rejected(shapes):
    with pytest.raises(ValueError, match=r"one shape \(B, C, H, W\)"):
        ReconstructionLoss()(*(torch.zeros(shape) for shape in shapes))


def test_the_gaussian_loss_of_a_perfect_reconstruction_is_bounded():
    images = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    reconstruction = images.clone().requires_grad_()
    loss = ReconstructionLoss(kind="gaussian")(reconstruction, images)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 1e-8))
    assert reconstruction.grad.count_nonzero() == 0


def test_the_gaussian_loss_pulls_alike_on_images_of_any_contrast():
    reconstruction, images = pictures(3)
    (pull,) = torch.autograd.grad(
        ReconstructionLoss(kind="gaussian")(reconstruction.requires_grad_(), images), reconstruction
    )
    (faint,) = torch.autograd.grad(
        ReconstructionLoss(kind="gaussian")(reconstruction / 10, images / 10), reconstruction
    )
    torch.testing.assert_close(faint, pull)


def test_prints_its_kind():
    assert repr(ReconstructionLoss(kind="bce")) == "ReconstructionLoss(kind='bce')"
