import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.losses import TripletLoss


def triplets(seed, batch, embedding_dim, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    drawn = F.normalize(torch.randn(3, batch, embedding_dim, dtype=dtype, generator=generator), dim=2)
    return [part.clone().requires_grad_() for part in drawn]


def value_and_gradients(loss, parts):
    value = loss(*parts)
    return [value, *torch.autograd.grad(value, parts)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 9),
    embedding_dim=st.integers(1, 6),
    margin=st.floats(0.01, 3.0),
)
def test_value_and_gradient_are_those_of_pytorch(dtype, seed, batch, embedding_dim, margin):
    parts = triplets(seed, batch, embedding_dim, dtype)
    ours = value_and_gradients(TripletLoss(margin=margin), parts)
    theirs = value_and_gradients(torch.nn.TripletMarginLoss(margin=margin), parts)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_equals_the_formula_written_out_by_hand():
    anchor, positive, negative = torch.tensor([[[0.0], [0.0]], [[1.0], [2.0]], [[1.5], [9.0]]], dtype=torch.float64)
    # distances 1 and 1.5, 2 and 9: hinges 1 - 1.5 + 1 and 0
    assert TripletLoss(margin=1.0)(anchor, positive, negative).item() == pytest.approx(0.5 / 2, abs=2e-6)
    soft = (math.log(1 + math.exp(1 - 1.5)) + math.log(1 + math.exp(2 - 9))) / 2
    assert TripletLoss(margin=None)(anchor, positive, negative).item() == pytest.approx(soft, abs=2e-6)


def test_the_soft_margin_passes_gradcheck():
    assert torch.autograd.gradcheck(TripletLoss(margin=None), triplets(0, 4, 3))


@pytest.mark.parametrize("margin", [0.2, None])
def test_three_equal_embeddings_have_a_finite_gradient(margin):
    parts = [torch.ones(2, 4, requires_grad=True) for _ in range(3)]
    loss = TripletLoss(margin=margin)(*parts)
    assert loss.item() == pytest.approx(math.log(2) if margin is None else margin)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, parts))


def test_the_soft_margin_does_not_overflow():
    near, far = torch.zeros(1, 2), torch.full((1, 2), 1e4)
    assert TripletLoss(margin=None)(near, far, near).item() == pytest.approx(1e4 * math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_margin_is_rejected(margin):
    with pytest.raises(ValueError, match=r"margin must be a finite number above 0, but it is .*; None is"):
        TripletLoss(margin=margin)


@pytest.mark.parametrize("shapes", [[(2, 3), (2, 3), (1, 3)], [(2, 3), (2, 4), (2, 3)], [(3,), (3,), (3,)]])
def test_shapes_that_would_broadcast_are_rejected(shapes):
    with pytest.raises(ValueError, match=r"one shape \(B, E\)"):
        TripletLoss(margin=0.2)(*(torch.zeros(shape) for shape in shapes))


def test_prints_its_margin():
    assert repr(TripletLoss(margin=None)) == "TripletLoss(margin=None)"


@pytest.mark.parametrize("margin", [0.3, None])
def test_the_statistics_count_the_triplets_that_violate_the_margin(margin):
    parts = triplets(5, 40, 3)
    statistics = TripletLoss(margin=margin).measure(*parts)

    losses = []
    for a, p, n in zip(*(part.detach() for part in parts), strict=True):
        gap = float((a - p).norm() - (a - n).norm())
        losses.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin))
    assert statistics.loss.item() == pytest.approx(sum(losses) / 40, rel=1e-4)
    assert statistics.active.item() == sum(loss > 0 for loss in losses)
    assert statistics.valid.item() == 40
    assert statistics.active_fraction.item() == pytest.approx(statistics.active.item() / 40)
    assert (statistics.active.dtype, statistics.valid.dtype) == (torch.int64, torch.int64)
    assert margin is None or 5 < statistics.active < 35
