"""Colour: the closed form against one step after the other, Pillow, and colour theory."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from triptych.data.augment.colour import recolour


def images_of(count=4, size=6, seed=0):
    """Colours well inside the cube, so that small changes are not clamped."""
    return 0.3 + 0.4 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def change(images, *, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    def each(value):
        return torch.as_tensor(value, dtype=torch.float32).expand(len(images))

    return recolour(
        images, brightness=each(brightness), contrast=each(contrast), saturation=each(saturation), hue=each(hue)
    )


def grey_of(image):
    return 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]


def test_neutral_strengths_change_nothing():
    torch.testing.assert_close(change(images_of()), images_of(), atol=1e-6, rtol=0)


def test_the_closed_form_equals_one_step_after_the_other():
    images = images_of()
    brightness, contrast = torch.tensor([0.8, 1.1, 1.0, 0.7]), torch.tensor([1.2, 0.8, 0.5, 1.1])
    saturation, hue = torch.tensor([1.0, 0.2, 1.5, 0.9]), torch.tensor([0.0, 0.1, -0.05, 0.5])
    result = change(images, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    diagonal = torch.ones(3) / math.sqrt(3)
    cross = torch.linalg.cross(diagonal.expand(3, 3), torch.eye(3)).T
    for index, image in enumerate(images):
        angle = 2 * math.pi * hue[index]
        turn = torch.matrix_exp(angle * cross)  # a rotation is the exponential of its generator
        grey = grey_of(image)
        step = torch.einsum("dc,chw->dhw", turn, image)
        step = saturation[index] * step + (1 - saturation[index]) * grey
        step = contrast[index] * step + (1 - contrast[index]) * grey.mean()
        torch.testing.assert_close(result[index], (brightness[index] * step).clamp(0, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [0.5, 1.4])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_brightness_contrast_and_saturation_are_those_of_pillow(name, enhancer, factor):
    pixels = (images_of(1, size=16)[0] * 255).byte()
    expected = enhancer(Image.fromarray(pixels.permute(1, 2, 0).numpy())).enhance(factor)
    result = change(pixels[None] / 255, **{name: factor})[0].permute(1, 2, 0) * 255
    assert np.abs(result.numpy() - np.asarray(expected)).max() < 2  # Pillow rounds its greys


def test_a_third_of_a_turn_makes_red_green_and_green_blue():
    images = images_of()
    torch.testing.assert_close(change(images, hue=1 / 3), images.roll(1, dims=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(change(images, hue=-1 / 3), images.roll(-1, dims=1), atol=1e-6, rtol=0)


def test_hue_turns_the_angle_of_every_colour_by_its_share_of_the_circle():
    def angle(colours):
        red, green, blue = colours.unbind(1)
        return torch.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)

    images = images_of()
    turned = angle(change(images, hue=0.05)) - angle(images)
    torch.testing.assert_close(turned.remainder(2 * math.pi), torch.full_like(turned, 0.1 * math.pi), atol=1e-3, rtol=0)


def test_greys_stay_grey_whatever_the_saturation_and_hue():
    grey = torch.rand(4, 1, 5, 5).expand(4, 3, 5, 5)
    torch.testing.assert_close(change(grey, saturation=1.8, hue=0.4), grey, atol=1e-6, rtol=0)


def test_strong_changes_stay_in_range():
    result = change(images_of(), brightness=1.9, contrast=1.9, saturation=1.9, hue=0.3)
    assert result.min() == 0
    assert result.max() == 1


def test_the_images_given_are_not_modified():
    images = images_of()
    change(images, brightness=0.5)
    assert torch.equal(images, images_of())
