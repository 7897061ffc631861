"""Real images whose handedness is known, and made ones that are mirror images of each other."""

import numpy as np
import pytest
import torch.nn.functional as F

from triptych.data.builder import load_dataset
from triptych.inspection.mirror import FEWEST, SIDE, MirrorTest, mirror_test


def asked(name: str, size: int = 400) -> MirrorTest:
    split = load_dataset(name).train
    small = F.interpolate(split.images[:size].float(), size=(SIDE, SIDE), mode="bilinear").mean(1)
    found = mirror_test(small.numpy(), split.labels[:size].numpy())
    assert found is not None
    return found


def test_mirrored_digits_are_no_longer_of_their_class() -> None:
    found = asked("digits")

    assert found.is_handed
    assert found.recognised > 0.9
    assert found.loyal < 0.4


def arrows(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that point to the left, to the right, and upwards."""
    left = np.tril(np.ones((SIDE, SIDE)))
    up = np.tril(np.ones((SIDE, SIDE))) * np.tril(np.ones((SIDE, SIDE)))[:, ::-1]
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * count, SIDE, SIDE))
    return np.stack([left, left[:, ::-1], up] * count) + noise, np.arange(3 * count) % 3


def test_classes_that_are_mirror_images_of_each_other_are_named() -> None:
    found = mirror_test(*arrows())

    assert found is not None
    assert found.swapped == ((0, 1),)


def test_images_without_a_left_and_a_right_are_not_handed() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    waves = np.stack([np.tile(np.sin(np.arange(SIDE) * (label + 1) / 2), (SIDE, 1)).T for label in labels])

    found = mirror_test(waves + random.normal(0, 0.3, waves.shape), labels)

    assert found is not None
    assert not found.is_handed
    assert found.recognised > 0.9
    assert found.loyal > 0.9


@pytest.mark.parametrize("labels", [[0] * 20, [0] * 10 + [1] * (FEWEST - 1), list(range(12))])
def test_too_few_images_are_not_asked(labels: list[int]) -> None:
    images = np.random.default_rng(0).random((len(labels), SIDE, SIDE))

    assert mirror_test(images, np.array(labels)) is None


def test_the_answer_does_not_depend_on_how_classes_are_numbered() -> None:
    images, labels = arrows()

    assert mirror_test(images, labels * 7 + 2) == mirror_test(images, labels)._replace(swapped=((2, 9),))
