"""The picture of retrieval: neighbours in order, right and wrong framed, crossed and named."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.paper.style import OTHER_CLASS, SAME_CLASS
from triptych.visualisation.retrieval import retrieval_figure

CLASSES = ("airplane", "automobile", "bird")


def found(queries: int, neighbours: int, channels: int, side: int) -> list[Tensor]:
    """Random images, of which every second neighbour is of the query's class."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(queries, 1 + neighbours, channels, side, side, generator=generator)
    labels = torch.arange(queries) % 3
    others = (labels[:, None] + torch.arange(neighbours) % 2) % 3
    return [images[:, 0], images[:, 1:], labels, others]


def draw(drawn: list[Tensor]) -> Figure:
    return retrieval_figure(*drawn, classes=CLASSES)


def rim(picture: NDArray[np.uint8], figure: Figure, index: int) -> NDArray[np.uint8]:
    """Read the frame around an image, as wide as five pixels."""
    left, right, bottom, top = (round(edge) for edge in figure.axes[0].images[index].get_extent())
    down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])  # the head above the content
    top, bottom = top + down, bottom + down
    around = np.ones((bottom - top + 10, right - left + 10), dtype=bool)
    around[5:-5, 5:-5] = False
    return picture[top - 5 : bottom + 5, left - 5 : right + 5][around]


@pytest.mark.parametrize(
    ("queries", "neighbours", "channels", "side"),
    [(1, 1, 1, 8), (3, 10, 3, 32), (2, 10, 1, 8), (2, 4, 3, 224), (1, 60, 1, 28)],
)
def test_any_number_and_kind_of_image_is_drawn_on_the_paper(
    queries: int, neighbours: int, channels: int, side: int, drawn_pixels: Callable, clipped_texts: Callable
) -> None:
    figure = draw(found(queries, neighbours, channels, side))

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert picture.std() > 20
    assert len(figure.axes[0].images) == queries * (1 + neighbours)
    assert clipped_texts(figure) == []


def test_neighbours_stand_right_of_their_query_in_their_order() -> None:
    queries, neighbours, *_ = drawn = found(3, 5, 1, 8)
    images = draw(drawn).axes[0].images

    for row in range(3):
        shown = images[6 * row : 6 * row + 6]
        for image, expected in zip(shown, [queries[row], *neighbours[row]], strict=True):
            assert np.allclose(image.get_array()[..., 0], expected[0].numpy())
        edges = [image.get_extent() for image in shown]
        assert sorted(edges) == edges
        assert len({(bottom, top) for _, _, bottom, top in edges}) == 1
    assert images[0].get_extent()[3] < images[6].get_extent()[3] < images[12].get_extent()[3]


def test_frames_distinguish_right_and_wrong_and_wrong_ones_are_crossed_out(drawn_pixels: Callable) -> None:
    *_, labels, others = drawn = found(3, 5, 1, 8)
    figure = draw(drawn)
    picture = drawn_pixels(figure)
    colours = {name: np.round(255 * np.array(to_rgb(name))) for name in (SAME_CLASS, OTHER_CLASS)}

    for row in range(3):
        for rank in range(5):
            index = 6 * row + 1 + rank
            is_right = labels[row] == others[row, rank]
            frame = rim(picture, figure, index)
            assert (frame == colours[SAME_CLASS if is_right else OTHER_CLASS]).all()
            _, right, _, top = (round(edge) for edge in figure.axes[0].images[index].get_extent())
            down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])
            corner = picture[top + down : top + down + 30, right - 30 : right]
            assert ((corner == colours[OTHER_CLASS]).all(axis=-1).sum() > 200) == (not is_right)
            assert ((corner == 255).all(axis=-1).sum() > 30) == (not is_right)
        frame = rim(picture, figure, 6 * row)
        assert not any((frame == colour).all(axis=-1).any() for colour in colours.values())


def test_wrong_neighbours_are_named_below_and_right_ones_need_no_name() -> None:
    *_, labels, others = drawn = found(3, 5, 1, 8)
    axes = draw(drawn).axes[0]

    for row in range(3):
        _, _, bottom, _ = axes.images[6 * row].get_extent()
        names = [text for text in axes.texts if 0 < text.get_position()[1] - bottom < 60]
        expected = [CLASSES[labels[row]]] + [CLASSES[other] for other in others[row] if other != labels[row]]
        assert [text.get_text() for text in sorted(names, key=lambda text: text.get_position()[0])] == expected


def test_names_that_are_long_or_look_like_mathematics_do_not_touch(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    names = ("a name that is far too long for the picture above it", "$5_{", "_another that is too long")
    figure = retrieval_figure(*found(3, 10, 1, 8), classes=names)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert "$5_{" in texts_of(figure)
