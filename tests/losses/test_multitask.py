import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.losses import MultiTaskLoss, SimpleLoss

TERMS = ("triplet", "classification", "reconstruction", "kl")
weights = st.floats(0.001, 100.0)
values = st.floats(0.0, 100.0)


def scalars(**named):
    return {name: torch.tensor(value, requires_grad=True) for name, value in named.items()}


@settings(deadline=None)
@given(
    weight=st.fixed_dictionaries(dict.fromkeys(TERMS, weights)),
    value=st.fixed_dictionaries(dict.fromkeys(TERMS, values)),
    kl_factor=st.floats(0.0, 1.0),
)
def test_the_total_is_the_weighted_sum_of_the_reported_terms(weight, value, kl_factor):
    terms = scalars(**value)
    loss = MultiTaskLoss(**{f"{name}_weight": weight[name] for name in TERMS})
    total, reported, weighted = loss(**terms, kl_factor=kl_factor)
    factor = dict.fromkeys(TERMS, 1.0) | {"kl": kl_factor}
    assert total.item() == pytest.approx(sum(weight[name] * factor[name] * reported[name].item() for name in TERMS))
    assert {name: term.item() for name, term in reported.items()} == {name: term.item() for name, term in terms.items()}
    assert list(weighted) == list(TERMS)
    assert sum(part.item() for part in weighted.values()) == pytest.approx(total.item())
    for name in TERMS:
        (alone,) = torch.autograd.grad(weighted[name], terms[name], retain_graph=True)
        assert alone.item() == pytest.approx(weight[name] * factor[name])
    total.backward()
    for name in TERMS:
        assert terms[name].grad.item() == pytest.approx(weight[name] * factor[name])


@settings(deadline=None)
@given(weight=weights, triplet=values, classification=values)
def test_the_simple_total_is_triplet_plus_weighted_classification(weight, triplet, classification):
    terms = scalars(triplet=triplet, classification=classification)
    total, reported, _ = SimpleLoss(classifier_weight=weight)(**terms)
    assert total.item() == pytest.approx(reported["triplet"].item() + weight * reported["classification"].item())
    assert list(reported) == ["triplet", "classification"]


@pytest.mark.parametrize("left_out", TERMS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_of_zero_gives_no_gradient_and_no_harm_but_is_reported(left_out, bad):
    terms = scalars(**dict.fromkeys(TERMS, 2.0) | {left_out: bad})
    total, reported, _ = MultiTaskLoss(**{f"{left_out}_weight": 0.0})(**terms)
    total.backward()
    assert total.item() == 6.0
    assert terms[left_out].grad is None
    assert str(reported[left_out].item()) == str(bad)


def test_a_classifier_weight_of_zero_leaves_the_classification_out():
    terms = scalars(triplet=2.0, classification=math.nan)
    total, _, weighted = SimpleLoss(classifier_weight=0.0)(**terms)
    assert list(weighted) == ["triplet"]
    total.backward()
    assert total.item() == 2.0
    assert terms["classification"].grad is None


def test_a_term_that_counts_and_is_not_finite_is_not_hidden():
    terms = scalars(triplet=1.0, classification=1.0, reconstruction=math.nan, kl=1.0)
    assert MultiTaskLoss()(**terms).total.isnan()


def test_the_log_holds_no_graph():
    _, reported, _ = MultiTaskLoss()(**scalars(**dict.fromkeys(TERMS, 1.0)))
    assert not any(term.requires_grad for term in reported.values())


def test_kl_alone_can_be_differentiated_at_the_first_step_of_its_warmup():
    loss = MultiTaskLoss(triplet_weight=0.0, classification_weight=0.0, reconstruction_weight=0.0, kl_weight=1.0)
    terms = scalars(**dict.fromkeys(TERMS, 1.0))
    loss(**terms, kl_factor=0.0).total.backward()
    assert terms["kl"].grad.item() == 0


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_an_impossible_weight_is_refused_by_name(name, bad):
    with pytest.raises(ValueError, match=f"finite numbers of at least 0, but that of {name} is .*; 0 leaves"):
        MultiTaskLoss(**{f"{name}_weight": bad})


def test_an_impossible_classifier_weight_is_refused():
    with pytest.raises(ValueError, match="that of classification is -1"):
        SimpleLoss(classifier_weight=-1)


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match=r"at least one loss weight must be above 0, but .* are all 0; .*raise one"):
        MultiTaskLoss(triplet_weight=0.0, classification_weight=0.0, reconstruction_weight=0.0, kl_weight=0.0)


def test_a_term_that_was_not_reduced_is_refused():
    with pytest.raises(ValueError, match=r"loss terms must be scalars, but classification has the shape \(4,\)"):
        SimpleLoss()(torch.tensor(1.0), torch.ones(4))


def test_prints_its_weights():
    assert repr(SimpleLoss(classifier_weight=0.5)) == "SimpleLoss(classifier_weight=0.5)"
    assert repr(MultiTaskLoss(kl_weight=0.5)).endswith("reconstruction_weight=1.0, kl_weight=0.5)")
