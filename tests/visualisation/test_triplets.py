"""The picture of triplets: crisp, framed by class, named, and with all its text on the paper."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.paper.style import OTHER_CLASS, SAME_CLASS
from triptych.visualisation.triplets import triplet_figure

CLASSES = ("airplane", "automobile", "bird")


def triplets(count: int, channels: int, height: int, width: int | None = None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    images = [torch.rand(count, channels, height, width or height, generator=generator) for _ in range(3)]
    return [*images, torch.arange(count) % 3, (torch.arange(count) + 1) % 3]


def occurrences(picture: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    return (picture == np.round(255 * np.array(to_rgb(colour)))).all(axis=-1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32)])
def test_every_count_and_kind_of_image_is_drawn_within_the_paper(
    count: int, channels: int, side: int, pixels_of: Callable, clipped_texts: Callable
) -> None:
    figure = triplet_figure(*triplets(count, channels, side), classes=CLASSES, title="Triplets")

    picture = pixels_of(figure)
    assert picture.shape[:2] == tuple(reversed([round(300 * inches) for inches in figure.get_size_inches()]))
    assert picture.std() > 40
    assert len(figure.axes[0].images) == 3 * count
    assert clipped_texts(figure) == []


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 28, 28), (3, 12, 20)])
def test_each_pixel_of_an_image_is_one_square_of_exactly_its_colour(
    channels: int, height: int, width: int, pixels_of: Callable
) -> None:
    drawn = triplets(5, channels, height, width)
    figure = triplet_figure(*drawn, classes=CLASSES, title="Triplets")
    picture = pixels_of(figure)
    images = torch.cat([batch.repeat(1, 3 // channels, 1, 1) for batch in drawn[:3]])

    for image, shown in zip(images, figure.axes[0].images, strict=True):
        left, right, bottom, top = (round(edge) for edge in shown.get_extent())
        factor = (right - left) // width
        expected = (255 * image).round().permute(1, 2, 0).repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        difference = picture[top:bottom, left:right] - expected.numpy()
        assert np.abs(difference).max() <= 1


def test_frames_distinguish_same_and_other_class(pixels_of: Callable) -> None:
    figure = triplet_figure(*triplets(4, 1, 28), classes=CLASSES, title="Triplets")
    picture = pixels_of(figure)

    for index, shown in enumerate(figure.axes[0].images):
        left, right, bottom, top = (round(edge) for edge in shown.get_extent())
        colour = OTHER_CLASS if index >= 8 else SAME_CLASS
        rim = np.ones((bottom - top + 10, right - left + 10), dtype=bool)
        rim[5:-5, 5:-5] = False
        assert occurrences(picture[top - 5 : bottom + 5, left - 5 : right + 5], colour)[rim].all()


def test_every_picture_carries_the_name_of_its_class_and_every_column_its_role() -> None:
    *_, anchor_labels, negative_labels = drawn = triplets(3, 1, 28)
    figure = triplet_figure(*drawn, classes=CLASSES, title="Triplets of three")
    images, texts = figure.axes[0].images, figure.axes[0].texts
    labels = [*anchor_labels, *anchor_labels, *negative_labels]
    roles = ["Anchor"] * 3 + ["Positive"] * 3 + ["Negative"] * 3

    for image, label, role in zip(images, labels, roles, strict=True):
        left, right, bottom, _ = image.get_extent()
        column = [text for text in texts[1:] if left - 20 <= text.get_position()[0] < right]
        column.sort(key=lambda text: text.get_position()[1])
        below = [text.get_text() for text in column if text.get_position()[1] > bottom]
        assert (column[0].get_text(), below[0]) == (role, CLASSES[label])
    assert texts[0].get_text() == "Triplets of three"


def test_long_names_and_names_like_mathematics_are_drawn_as_they_are(
    pixels_of: Callable, clipped_texts: Callable
) -> None:
    names = ("$5 and $10", "$\\nonsense{$", "a name that is far too long for the picture above it")
    figure = triplet_figure(*triplets(3, 1, 28), classes=names, title="A title $_{ " + "too long " * 30)

    pixels_of(figure)
    assert clipped_texts(figure) == []
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"$5 and $10", "$\\nonsense{$"} < texts
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("a name")]
    assert all(box.width <= 300 for box in boxes)


def test_distances_stand_below_the_positive_and_the_negative_they_belong_to(clipped_texts: Callable) -> None:
    distances = torch.tensor([[0.125, 1.5], [1.999, 0.0], [0.7, 0.8], [1.0, 1.1]])
    figure = triplet_figure(*triplets(4, 1, 28), classes=CLASSES, title="Hard", distances=distances)
    images, texts = figure.axes[0].images, figure.axes[0].texts

    for shown, number in zip(images[4:], distances.T.flatten().tolist(), strict=True):
        left, right, bottom, _ = shown.get_extent()
        below = [
            text.get_text()
            for text in texts
            if left < text.get_position()[0] <= right + 20 and 0 < text.get_position()[1] - bottom < 80
        ]
        assert below == [f"{number:.2f}"]
    assert clipped_texts(figure) == []
    assert sum(text.get_text() == "distance" for text in texts) == 4


def test_a_name_too_long_for_its_picture_keeps_room_for_the_distance(overlapping_texts: Callable) -> None:
    names = ("a name that is far too long", "$another_one that is too long", "and a third that is")
    figure = triplet_figure(*triplets(2, 1, 28), classes=names, title="", distances=torch.ones(2, 2))

    assert overlapping_texts(figure) == []


def test_without_a_title_its_room_is_not_left_empty() -> None:
    heights = [
        triplet_figure(*triplets(1, 1, 8), classes=CLASSES, title=title).get_size_inches()[1] for title in ("", "Title")
    ]
    assert heights[0] < heights[1]


def test_values_beyond_the_range_and_half_precision_are_drawn(pixels_of: Callable) -> None:
    *images, anchor_labels, negative_labels = triplets(1, 1, 4)
    wide = [(4 * image - 1).half() for image in images]
    figure = triplet_figure(*wide, anchor_labels, negative_labels, classes=CLASSES, title="")

    assert pixels_of(figure).min() == 0


@pytest.mark.parametrize(("height", "width"), [(300, 600), (1, 1000)])
def test_images_larger_than_their_place_are_made_smaller(height: int, width: int, pixels_of: Callable) -> None:
    picture = pixels_of(triplet_figure(*triplets(1, 3, height, width), classes=CLASSES, title=""))

    assert picture.shape[1] < 1200


def test_drawing_does_not_change_its_arguments() -> None:
    drawn = triplets(2, 1, 8)
    before = [tensor.clone() for tensor in drawn]
    triplet_figure(*drawn, classes=CLASSES, title="")

    assert all(torch.equal(tensor, copy) for tensor, copy in zip(drawn, before, strict=True))
