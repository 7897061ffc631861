"""How often labels slip, and where to, counted on images of which there is no doubt."""

import pytest
import torch

from triptych.evaluation.audit.slips import count_slips

CLASSES, IMAGES = 5, 2000
"""Images of each class."""


def clear_votes(truth: torch.Tensor) -> torch.Tensor:
    """Neighbours who all know the class, and are surer of the first images of each."""
    sureness = torch.linspace(0.99, 0.6, IMAGES, dtype=torch.float64).repeat(CLASSES)
    rest = ((1 - sureness) / (CLASSES - 1))[:, None].expand(-1, CLASSES)
    return rest.scatter(1, truth[:, None], sureness[:, None])


@pytest.fixture
def truth() -> torch.Tensor:
    return torch.arange(CLASSES).repeat_interleave(IMAGES)


def test_without_wrong_labels_none_are_counted_but_none_is_impossible(truth):
    slips = count_slips(clear_votes(truth), truth)

    assert slips.rate == 0
    elsewhere = ~torch.eye(CLASSES, dtype=torch.bool)
    assert (slips.chance[elsewhere] > 0).all()
    assert (slips.chance.diagonal() == 0).all()


def test_slips_to_any_class_are_given_nearly_equal_chances(truth):
    random = torch.Generator().manual_seed(0)
    slipped = torch.rand(len(truth), generator=random) < 0.1
    labels = torch.where(slipped, (truth + torch.randint(1, CLASSES, truth.shape, generator=random)) % CLASSES, truth)

    slips = count_slips(clear_votes(truth), labels)

    assert slips.rate == pytest.approx(0.1, abs=0.02)
    chances = slips.chance[~torch.eye(CLASSES, dtype=torch.bool)]
    assert chances.min() > 0.015
    assert chances.max() < 0.035


def test_a_class_that_is_mistaken_for_one_other_gets_that_chance_and_the_rest_next_to_none(truth):
    random = torch.Generator().manual_seed(1)
    slipped = (truth == 2) & (torch.rand(len(truth), generator=random) < 0.2)
    labels = torch.where(slipped, 4, truth)

    chance = count_slips(clear_votes(truth), labels).chance

    assert chance[2, 4] == pytest.approx(0.2, abs=0.05)
    chance[2, 4] = 0
    assert chance.max() < 0.01


def test_only_images_that_the_neighbours_are_surest_of_are_counted(truth):
    place = torch.arange(IMAGES).repeat(CLASSES)
    doubtful = torch.where(place >= IMAGES // 5, (truth + 1) % CLASSES, truth)

    assert count_slips(clear_votes(truth), doubtful).rate == 0
    doubtful[0] = 1
    assert count_slips(clear_votes(truth), doubtful).rate == pytest.approx(1 / (CLASSES * IMAGES / 5))
