"""Augmentation: one resampling, exact where it can be, bounded, and each image's own."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.config.schema import AugmentationConfig
from triptych.data.augment import geometry
from triptych.data.augment.augmentation import Augmentation
from triptych.data.draws import Draws

GEOMETRY = {
    "rotation": 30.0,
    "translate": 0.2,
    "scale": 0.3,
    "shear": 15.0,
    "perspective": 0.4,
    "horizontal_flip": 0.5,
    "crop_padding": 3,
}
COLOUR = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
EVERYTHING = GEOMETRY | COLOUR | {"erasing": 0.5, "erasing_area": 0.3}


def images_of(count, channels=3, height=12, width=12):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(count))


def draws_of(count, *, seed=0, epoch=0):
    return Draws(seed, epoch, torch.arange(count))


def corners_of(motion, *, height, width):
    """Where the upper left, upper right, lower right and lower left corners go: (B, 4, 2) pixels from the centre."""
    x, y = width / 2, height / 2
    corners = torch.tensor([[-x, -y, 1.0], [x, -y, 1.0], [x, y, 1.0], [-x, y, 1.0]])
    moved = torch.einsum("bij,cj->bci", motion, corners)
    return moved[..., :2] / moved[..., 2:]


def test_the_strengths_are_those_of_the_config():
    ours = {field.name: field.default for field in dataclasses.fields(Augmentation)}
    assert ours == AugmentationConfig().model_dump()
    Augmentation(**AugmentationConfig(rotation=180.0, hue=0.5, erasing=1.0, crop_padding=4).model_dump())


def test_without_strengths_the_images_come_back_untouched():
    images = images_of(3)
    assert Augmentation()(images, draws_of(3)) is images
    assert Augmentation(erasing_area=0.5)(images, draws_of(3)) is images


@pytest.mark.parametrize("strengths", [GEOMETRY, EVERYTHING, {"rotation": 5.0}, {"crop_padding": 1}])
def test_all_geometric_parts_are_one_resampling(monkeypatch, strengths):
    calls = []
    sample = torch.nn.functional.grid_sample
    monkeypatch.setattr(
        torch.nn.functional, "grid_sample", lambda *args, **options: calls.append(1) or sample(*args, **options)
    )
    Augmentation(**strengths)(images_of(4), draws_of(4))
    assert len(calls) == 1


def test_the_composed_motion_is_the_product_of_the_parts_in_the_documented_order():
    draws, sides = draws_of(50), {"height": 20, "width": 30}
    order = ["horizontal_flip", "perspective", "scale", "shear", "rotation", "translate", "crop_padding"]
    assert set(order) == set(GEOMETRY)
    product = torch.eye(3)
    for name in order:
        product = Augmentation(**{name: GEOMETRY[name]}).motion(draws, **sides) @ product
    torch.testing.assert_close(Augmentation(**GEOMETRY).motion(draws, **sides), product, atol=1e-3, rtol=1e-4)


def test_a_composed_augmentation_is_the_warp_by_its_motion():
    images, augment = images_of(8, 1), Augmentation(**GEOMETRY)
    motion = augment.motion(draws_of(8), height=12, width=12)
    expected = geometry.warp(images, motion).clamp(0, 1)
    assert torch.equal(augment(images, draws_of(8)), expected)
    assert not torch.allclose(expected, images)


def test_flips_alone_are_exact_and_as_frequent_as_configured():
    images = images_of(2000, 1, 4, 4)
    result = Augmentation(horizontal_flip=0.3)(images, draws_of(2000))
    flipped = (result - images.flip(-1)).abs().amax((1, 2, 3)) < 1e-5
    kept = (result - images).abs().amax((1, 2, 3)) < 1e-5
    assert (flipped ^ kept).all()
    assert flipped.float().mean().item() == pytest.approx(0.3, abs=0.04)


def flipped_in(epochs, *, share, count=400):
    """Which of some images are flipped in each epoch: (epochs, images)."""
    images, index = images_of(count, 1, 4, 4), torch.arange(count)
    augment = Augmentation(horizontal_flip=share)
    results = torch.stack([augment(images, Draws(5, epoch, index)) for epoch in range(epochs)])
    return (results - images.flip(-1)).abs().amax((2, 3, 4)) < 1e-5


def test_any_two_epochs_in_a_row_show_an_image_both_ways():
    flipped = flipped_in(9, share=0.5)
    assert (flipped[1:] != flipped[:-1]).all()
    assert flipped[0].float().mean().item() == pytest.approx(0.5, abs=0.1)  # images begin either way


def test_a_share_of_a_quarter_flips_an_image_in_one_of_any_four_epochs():
    flipped = flipped_in(12, share=0.25)
    for first in range(9):
        assert (flipped[first : first + 4].sum(0) == 1).all()
    assert flipped[0].float().mean().item() == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, 0.9])
def test_any_share_of_the_epochs_is_kept_for_every_image(share):
    counts = flipped_in(50, share=share, count=100).sum(0)
    assert ((counts - 50 * share).abs() < 1 + 1e-6).all()


def test_a_share_of_one_flips_always():
    assert flipped_in(5, share=1.0).all()


def test_flip_and_crop_are_whole_pixels_and_every_crop_comes_up():
    images, padding = images_of(600, 1, 8, 8), 2
    result = Augmentation(horizontal_flip=0.5, crop_padding=padding)(images, draws_of(600))
    padded = torch.nn.functional.pad(images, [padding] * 4, mode="replicate")
    crops = [padded[..., y : y + 8, x : x + 8] for y in range(5) for x in range(5)]
    crops += [
        torch.nn.functional.pad(images.flip(-1), [padding] * 4, mode="replicate")[..., y : y + 8, x : x + 8]
        for y in range(5)
        for x in range(5)
    ]
    matches = torch.stack([(result - crop).abs().amax((1, 2, 3)) < 1e-5 for crop in crops])
    assert (matches.sum(0) == 1).all()
    assert (matches.sum(1) >= 1).all()


@pytest.mark.parametrize("name", ["rotation", "shear", "scale", "translate"])
def test_strengths_are_reached_either_way_and_never_passed(name):
    strength = {"rotation": 40.0, "shear": 40.0, "scale": 0.25, "translate": 0.25}[name]
    motion = Augmentation(**{name: strength}).motion(draws_of(4000), height=10, width=20)
    measured = {
        "rotation": torch.atan2(motion[:, 1, 0], motion[:, 0, 0]).rad2deg(),
        "shear": motion[:, 0, 1].atan().rad2deg(),
        "scale": motion[:, 0, 0] - 1,
        "translate": motion[:, :2, 2] / torch.tensor([20, 10]),
    }[name]
    assert measured.abs().max() <= strength * 1.0001
    assert measured.max() > 0.99 * strength
    assert measured.min() < -0.99 * strength
    assert abs(measured.mean()) < 0.05 * strength


@settings(deadline=None, max_examples=30)
@given(perspective=st.floats(0.01, 0.999), seed=st.integers(0, 1000))
def test_perspective_moves_corners_inwards_within_bounds_and_keeps_them_convex(perspective, seed):
    motion = Augmentation(perspective=perspective).motion(draws_of(64, seed=seed), height=10, width=20)
    corners = corners_of(motion, height=10, width=20)
    signs = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    inwards = (torch.tensor([10.0, 5.0]) - corners * signs) / torch.tensor([20.0, 10.0])
    assert inwards.min() > -1e-3
    assert inwards.max() < perspective / 2 + 1e-3
    edges = corners.roll(-1, 1) - corners
    following = edges.roll(-1, 1)
    assert (edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0] > 0).all()


@settings(deadline=None, max_examples=40)
@given(
    channels=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    strength=st.floats(0, 0.999),
    seed=st.integers(0, 99),
)
def test_any_strength_gives_images_of_the_same_shape_in_range(channels, height, width, strength, seed):
    images = images_of(5, channels, height, width).round()
    augment = Augmentation(
        rotation=180 * strength,
        translate=strength,
        scale=strength,
        shear=89 * strength,
        perspective=strength,
        horizontal_flip=strength,
        crop_padding=int(4 * strength),
        erasing=strength,
        erasing_area=strength,
        brightness=strength,
        contrast=strength,
        saturation=strength,
        hue=strength / 2,
    )
    result = augment(images, draws_of(5, seed=seed))
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1


def test_white_stays_in_range_where_the_weights_of_a_pixel_round_up():
    white, augment = torch.ones(500, 1, 7, 7), Augmentation(rotation=30, scale=0.3, perspective=0.3)
    assert geometry.warp(white, augment.motion(draws_of(500), height=7, width=7)).max() > 1
    assert augment(white, draws_of(500)).max() == 1


def test_colour_changes_images_of_three_channels_only():
    for channels in (1, 2, 4):
        images = images_of(4, channels)
        assert Augmentation(**COLOUR)(images, draws_of(4)) is images
    images = images_of(4)
    for name, strength in COLOUR.items():
        changed = Augmentation(**{name: strength})(images, draws_of(4))
        assert ((changed - images).abs().amax((1, 2, 3)) > 1e-3).all(), name


def test_a_plain_image_stays_plain_since_the_border_is_repeated():
    result = Augmentation(contrast=0.9, crop_padding=4)(torch.full((50, 3, 6, 6), 0.8), draws_of(50))
    torch.testing.assert_close(result, torch.full_like(result, 0.8), atol=1e-5, rtol=0)


def test_an_image_is_changed_alike_in_every_batch():
    for sides in ((8, 8), (28, 28), (17, 31), (96, 96)):
        images, augment = images_of(19, 3, *sides), Augmentation(**EVERYTHING)
        index = torch.arange(100, 119)
        together = augment(images, Draws(5, 2, index))
        for rows in ([0], [18], [3, 11], list(range(18, 1, -1))):
            assert torch.equal(augment(images[rows], Draws(5, 2, index[rows])), together[rows])


def test_every_image_and_epoch_gets_its_own_change():
    same = images_of(1, 3, 32, 32).expand(20, -1, -1, -1)
    for strengths in (GEOMETRY, COLOUR, {"erasing": 1.0}):
        first = Augmentation(**strengths)(same, draws_of(20))
        second = Augmentation(**strengths)(same, draws_of(20, epoch=1))
        everything = torch.cat((first, second)).flatten(1)
        assert len(everything.unique(dim=0)) == 40, strengths


def test_switching_a_part_on_does_not_change_the_others():
    draws = draws_of(8)
    alone = Augmentation(rotation=30).motion(draws, height=8, width=8)
    shifted = Augmentation(rotation=30, translate=0.1).motion(draws, height=8, width=8)
    assert torch.equal(shifted[:, :, :2], alone[:, :, :2])


def test_erasing_blackens_one_rectangle_of_at_most_the_configured_area():
    side, area = 24, 0.3
    result = Augmentation(erasing=0.6, erasing_area=area)(torch.ones(3000, 1, side, side), draws_of(3000))[:, 0]
    shares = (result == 0).float().mean((1, 2))
    assert ((result == 0) | (result == 1)).all()
    assert (shares > 0).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert 0.9 * area < shares.max() <= area
    aspects = []
    for image in result[shares > 0.1][:200]:
        rows, columns = (image == 0).any(1).nonzero()[:, 0], (image == 0).any(0).nonzero()[:, 0]
        height, width = len(rows), len(columns)
        assert rows[-1] - rows[0] + 1 == height
        assert columns[-1] - columns[0] + 1 == width
        assert (image == 0).sum() == height * width  # the rows and columns cross in a full rectangle
        aspects.append(height / width)
    assert 0.25 < min(aspects) < 0.45
    assert 2.2 < max(aspects) < 4
    covered = (result == 0).float().mean(0)
    assert covered.min() > 0  # corners too


def test_erasing_touches_all_channels_and_not_the_images_given():
    images = torch.ones(50, 3, 8, 8)
    result = Augmentation(erasing=1.0)(images, draws_of(50))
    assert torch.equal(result.amin(1), result.amax(1))
    assert (images == 1).all()


def test_the_images_given_are_not_modified():
    images = images_of(6)
    Augmentation(**EVERYTHING)(images, draws_of(6))
    assert torch.equal(images, images_of(6))
