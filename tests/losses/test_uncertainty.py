import math

import pytest
import torch

from triptych.losses import MultiTaskLoss, UncertaintyWeights


def test_at_the_best_uncertainty_a_loss_is_divided_by_twice_its_size():
    losses = {"large": torch.tensor(40.0), "small": torch.tensor(0.2)}
    weights = UncertaintyWeights(losses)
    optimizer = torch.optim.Adam(weights.parameters(), lr=0.05)
    for _ in range(1000):
        optimizer.zero_grad()
        sum(weights(losses).values()).backward()
        optimizer.step()
    for name, loss in losses.items():
        assert weights.log_variances[name].item() == pytest.approx(math.log(2 * loss.item()), abs=0.01)
        assert weights(losses)[name].item() == pytest.approx(0.5 + 0.5 * math.log(2 * loss.item()), abs=0.01)


def test_a_loss_of_zero_does_not_drive_its_weight_beyond_all_bounds():
    weights = UncertaintyWeights(["gone"])
    optimizer = torch.optim.SGD(weights.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        weights({"gone": torch.tensor(0.0)})["gone"].backward()
        optimizer.step()
    value = torch.tensor(1.0, requires_grad=True)
    weights({"gone": value})["gone"].backward()
    assert value.grad.item() == pytest.approx(math.exp(5))


def test_before_training_every_loss_weighs_as_without_it():
    terms = {name: torch.tensor(value) for name, value in zip(("triplet", "classification"), (0.1, 2.0), strict=True)}
    assert UncertaintyWeights(terms)(terms) == terms


def test_a_term_without_weight_has_no_uncertainty_and_the_kl_divergence_is_not_balanced():
    loss = MultiTaskLoss(triplet_weight=0.0, kl_weight=0.5, balanced=("triplet", "classification"))
    assert [name for name, _ in loss.named_parameters()] == ["balance.log_variances.classification"]
    with torch.no_grad():
        loss.balance.log_variances["classification"].fill_(math.log(2.0))
    total = loss(*torch.tensor([1.0, 4.0, 0.5, 2.0])).total
    assert total.item() == pytest.approx(4.0 / 2 + 0.5 * math.log(2.0) + 0.5 + 0.5 * 2.0)
