import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.training.building import build_module
from triptych.training.guard.signs import LatentSigns, Signs, Task, latent_signs, separation, shares, squared_gradients

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_separation_is_the_adjusted_share_of_variance_between_the_classes() -> None:
    labels = torch.tensor([0, 0, 0, 2, 2, 5, 5, 5, 5])
    embeddings = normal(9, 3) + labels[:, None]

    within, total = 0.0, 0.0
    for dimension in range(3):
        column = embeddings[:, dimension].tolist()
        mean = sum(column) / 9
        total += sum((value - mean) ** 2 for value in column)
        for label in (0, 2, 5):
            group = [value for value, of in zip(column, labels.tolist(), strict=True) if of == label]
            within += sum((value - sum(group) / len(group)) ** 2 for value in group)

    assert separation(embeddings, labels) == pytest.approx(1 - (within / (9 - 3)) / (total / (9 - 1)), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_separation_of_random_labels_is_zero_for_any_number_of_classes(classes: int) -> None:
    found = [
        separation(
            normal(300, 8, seed=seed), torch.randint(classes, (300,), generator=torch.Generator().manual_seed(seed))
        )
        for seed in range(20)
    ]

    assert abs(sum(found) / len(found)) < 0.01


def test_separation_does_not_depend_on_place_and_size() -> None:
    labels = torch.arange(60) % 4
    embeddings = normal(60, 5) + labels[:, None]

    found = separation(embeddings.double() * 1e-6 + 1, labels)
    assert found == pytest.approx(separation(embeddings, labels), rel=1e-6)


def test_separation_is_unknown_where_there_is_nothing_to_compare() -> None:
    assert math.isnan(separation(torch.ones(6, 2), torch.tensor([0, 0, 0, 1, 1, 1])))
    assert math.isnan(separation(normal(3, 2), torch.arange(3)))


def test_the_latent_is_measured_in_nats_and_active_units() -> None:
    mean = torch.stack([torch.tensor([1.0, -1.0]), torch.tensor([0.05, -0.05])], dim=1)
    signs = latent_signs(mean, torch.zeros(2, 2))

    assert signs.kl_per_dimension == pytest.approx((0.5 * 1 + 0.5 * 0.0025) / 2)
    assert signs.kl == pytest.approx(0.50125)
    assert (signs.active_units, signs.dimensions) == (1, 2)


@pytest.mark.parametrize("mining", ["random", "semihard"])
@pytest.mark.parametrize("mode", ["true", "false"])
def test_the_gradients_are_those_of_each_weighted_term_alone(
    tiny_config: Callable[..., RunConfig], digits: ImageData, mode: str, mining: str
) -> None:
    config = tiny_config(
        f"training.use_multitask_loss={mode}", f"training.triplet_mining={mining}", "training.kl_weight=0.3"
    )
    data = ImageDataModule(config, digits)
    module, batch = build_module(config, data).train(), next(iter(data.train_dataloader()))
    module.trainer = trainer = type("Trainer", (), {"current_epoch": 0, "global_rank": 0})()  # noqa: F841

    def step() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        result = module.measure(batch)
        return result.losses.weighted, result.shared

    weighted, shared = step()
    found = squared_gradients(weighted, shared, scale=torch.tensor(2.0))

    for name, square in zip(weighted, found.tolist(), strict=True):
        again, tensors = step()
        for tensor in tensors:
            tensor.retain_grad()
        (2 * again[name]).backward()
        expected = sum(float(tensor.grad.square().sum()) for tensor in tensors if tensor.grad is not None)
        assert square == pytest.approx(expected, rel=1e-4), name
        assert square > 0


def test_measuring_gradients_changes_neither_graph_nor_parameters() -> None:
    weight = torch.ones(3, requires_grad=True)
    shared = weight * torch.tensor([1.0, 2.0, 3.0])
    other = torch.ones((), requires_grad=True)
    weighted = {"first": shared.square().sum(), "second": 4 * shared.sum(), "apart": other * 1}

    found = squared_gradients(weighted, (shared,), scale=torch.tensor(1.0))

    assert found.tolist() == [4 * (1 + 4 + 9), 3 * 16, 0]
    assert weight.grad is None
    assert other.grad is None
    torch.stack(list(weighted.values())).sum().backward()
    assert weight.grad is not None


def test_shares_add_up_to_one_and_are_left_out_where_they_mean_nothing() -> None:
    assert shares(["a", "b", "c"], [9.0, 1.0, 0.0]) == {"a": 0.75, "b": 0.25, "c": 0.0}
    assert shares(["a", "b"], [0.0, 0.0]) == {}
    assert shares(["a", "b"], [1.0, math.inf]) == {}
    assert shares(["a", "b"], [1.0, math.nan]) == {}


@pytest.mark.parametrize(("margin", "expected"), [(0.2, 0.5), (None, 0.1 / math.log(2))])
def test_the_numbers_that_are_shown_have_the_triplet_loss_in_units_of_its_limit(
    margin: float | None, expected: float
) -> None:
    weights = {"triplet": 1.0, "classification": 1.0}
    task = Task(num_classes=10, margin=margin, mining="hard", weights=weights, is_multitask=False)
    signs = Signs(
        steps=5,
        active_fraction=0.3,
        without_triplets=0.0,
        losses={"triplet": 0.1, "classification": 0.5},
        gradient_shares={"triplet": 0.4, "classification": 0.6},
        spread=0.9,
        effective_rank=12.0,
        separation=0.7,
        latent=None,
        accuracy=0.9,
    )

    numbers = signs.numbers(task)
    assert numbers.pop("triplet_of_margin") == pytest.approx(expected)
    assert numbers == {
        "active_fraction": 0.3,
        "without_triplets": 0.0,
        "spread": 0.9,
        "effective_rank": 12.0,
        "separation": 0.7,
        "gradient_share_triplet": 0.4,
        "gradient_share_classification": 0.6,
    }
    with_latent = replace(signs, latent=LatentSigns(kl_per_dimension=2.5, active_units=7, dimensions=8)).numbers(task)
    assert (with_latent["kl_per_dimension"], with_latent["active_units"]) == (2.5, 7)
