import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from triptych.losses import BatchTripletLoss, ClassificationLoss, KLDivergenceLoss, MultiTaskLoss, ReconstructionLoss

NAMES = ("first", "second", "third")
weights = st.floats(0.001, 100.0)
values = st.floats(0.0, 100.0)


class Given(nn.Module):
    """A loss that is one of the outputs."""

    def __init__(self, name):
        super().__init__()
        self.inputs = (name,)

    def forward(self, value):
        return value


def loss_of(weight):
    return MultiTaskLoss({name: (Given(name), weight.get(name, 1.0)) for name in NAMES})


def scalars(value):
    return {name: torch.tensor(value[name], requires_grad=True) for name in NAMES}


@settings(deadline=None)
@given(
    weight=st.fixed_dictionaries(dict.fromkeys(NAMES, weights)),
    value=st.fixed_dictionaries(dict.fromkeys(NAMES, values)),
    factor=st.floats(0.0, 1.0),
)
def test_the_total_is_the_weighted_sum_of_the_reported_terms(weight, value, factor):
    terms, loss = scalars(value), loss_of(weight)
    breakdown = loss(loss.rows(terms), {"third": factor})
    factors = dict.fromkeys(NAMES, 1.0) | {"third": factor}
    expected = sum(weight[name] * factors[name] * value[name] for name in NAMES)
    assert breakdown.total.item() == pytest.approx(expected, rel=1e-5)
    assert {name: term.item() for name, term in breakdown.terms.items()} == {
        name: term.item() for name, term in terms.items()
    }
    for name in NAMES:
        (alone,) = torch.autograd.grad(breakdown.weighted[name], terms[name], retain_graph=True)
        assert alone.item() == pytest.approx(weight[name] * factors[name])
    breakdown.total.backward()
    for name in NAMES:
        assert terms[name].grad.item() == pytest.approx(weight[name] * factors[name])


@pytest.mark.parametrize("left_out", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_of_zero_gives_no_gradient_and_no_harm_but_is_reported(left_out, bad):
    terms = scalars(dict.fromkeys(NAMES, 2.0) | {left_out: bad})
    breakdown = loss_of({left_out: 0.0})(terms)
    breakdown.total.backward()
    assert breakdown.total.item() == 4.0
    assert list(breakdown.weighted) == [name for name in NAMES if name != left_out]
    assert terms[left_out].grad is None
    assert str(breakdown.terms[left_out].item()) == str(bad)


def test_a_term_that_counts_and_is_not_finite_is_not_hidden():
    assert loss_of({})(scalars(dict.fromkeys(NAMES, 1.0) | {"second": math.nan})).total.isnan()


def test_the_log_holds_no_graph():
    breakdown = loss_of({})(scalars(dict.fromkeys(NAMES, 1.0)))
    assert not any(term.requires_grad for term in breakdown.terms.values())


def test_a_term_alone_can_be_differentiated_at_the_first_step_of_its_warmup():
    terms = scalars(dict.fromkeys(NAMES, 1.0))
    loss_of({"first": 0.0, "second": 0.0})(terms, {"third": 0.0}).total.backward()
    assert terms["third"].grad.item() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_an_impossible_weight_is_rejected_by_name(name, bad):
    with pytest.raises(ValueError, match=f"finite numbers of at least 0, but that of {name} is .*; 0 leaves"):
        loss_of({name: bad})


def test_weights_that_are_all_zero_are_rejected():
    with pytest.raises(ValueError, match=r"at least one loss weight must be above 0, but .* are all 0; .*raise one"):
        loss_of(dict.fromkeys(NAMES, 0.0))


def test_a_term_that_was_not_reduced_is_rejected():
    with pytest.raises(ValueError, match=r"losses must be scalars, but first has the shape \(4,\)"):
        loss_of({})({name: torch.ones(4) for name in NAMES})


def test_prints_its_weights():
    assert "first: 0.5, second: 1.0, third: 1.0" in repr(loss_of({"first": 0.5}))


def test_losses_that_are_means_over_images_pass_their_errors_alone():
    loss = MultiTaskLoss({"reconstruction": (ReconstructionLoss(), 1.0), "kl": (KLDivergenceLoss(), 1.0)})
    outputs = {"reconstruction": torch.zeros(3, 1, 2, 2), "image": torch.full((3, 1, 2, 2), 0.5)}
    outputs |= {"mean": torch.ones(3, 4), "log_variance": torch.zeros(3, 4), "unused": torch.zeros(3)}
    rows = loss.rows(outputs)
    assert {name: tuple(row.shape) for name, row in rows.items()} == {
        "reconstruction.errors": (3,),
        "mean": (3, 4),
        "log_variance": (3, 4),
    }
    assert loss(rows).terms["reconstruction"].item() == 0.25


def test_rows_of_two_processes_together_give_the_loss_of_the_whole_batch():
    torch.manual_seed(0)
    loss = MultiTaskLoss(
        {
            "triplet": (BatchTripletLoss(mining="all"), 1.0),
            "classification": (ClassificationLoss(), 1.0),
            "reconstruction": (ReconstructionLoss(kind="gaussian"), 1.0),
        }
    )
    outputs = {"embedding": torch.randn(8, 3), "label": torch.arange(8) % 3, "logits": torch.randn(8, 3)}
    outputs |= {"reconstruction": torch.rand(8, 1, 2, 2), "image": torch.rand(8, 1, 2, 2)}
    parts = [loss.rows({name: value[part] for name, value in outputs.items()}) for part in (slice(3), slice(3, 8))]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    torch.testing.assert_close(loss(joined).total, loss(loss.rows(outputs)).total)


def test_the_statistics_of_triplets_come_with_their_loss():
    loss = MultiTaskLoss({"triplet": (BatchTripletLoss(margin=1.0, mining="all"), 1.0)})
    breakdown = loss({"embedding": torch.tensor([[0.0], [1.0], [1.5]]), "label": torch.tensor([0, 0, 1])})
    assert (breakdown.statistics["triplet"].active.item(), breakdown.statistics["triplet"].valid.item()) == (2, 2)
    assert breakdown.terms["triplet"].item() == 1.0
