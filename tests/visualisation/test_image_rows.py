"""Rows of images: crisp, in order, with their words at their places, whatever they show."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from triptych.visualisation.image_rows import ImageRow, image_rows_figure


def images(count: int, channels: int = 1, side: int = 8, *, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def extents(figure: Figure) -> list[list[float]]:
    return [shown.get_extent() for shown in figure.axes[0].images]


@pytest.mark.parametrize(
    ("rows", "count", "channels", "side"),
    [(1, 1, 1, 8), (3, 10, 3, 32), (2, 12, 1, 28), (2, 3, 3, 224), (1, 100, 1, 8)],
)
def test_any_number_and_kind_of_image_is_drawn_on_the_paper(
    rows: int, count: int, channels: int, side: int, drawn_pixels: Callable, clipped_texts: Callable
) -> None:
    figure = image_rows_figure(
        [ImageRow(images(count, channels, side), name="a name", note="a note", captions=["word"] * count)] * rows,
        title="Images",
        subtitle="of a model",
    )

    picture = drawn_pixels(figure)
    assert picture.shape[1] == 2000
    assert picture.std() > 15
    assert len(figure.axes[0].images) == rows * count
    assert clipped_texts(figure) == []


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32)])
def test_each_pixel_of_an_image_is_one_square_of_exactly_its_colour(
    channels: int, side: int, drawn_pixels: Callable
) -> None:
    drawn = images(5, channels, side)
    figure = image_rows_figure([ImageRow(drawn[:3]), ImageRow(drawn[3:], framed=(0,))], title="Images")
    picture = drawn_pixels(figure)
    down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])

    for image, (left, right, bottom, top) in zip(drawn, np.round(extents(figure)).astype(int), strict=True):
        factor = (right - left) // side
        expected = (255 * image).round().expand(3, -1, -1).permute(1, 2, 0)
        expected = expected.repeat_interleave(factor, 0).repeat_interleave(factor, 1).numpy()
        assert np.abs(picture[top + down : bottom + down, left:right] - expected).max() <= 1


def test_joined_rows_stand_closer_and_columns_in_line() -> None:
    rows = [
        ImageRow(images(4)),
        ImageRow(images(4), joined=True),
        ImageRow(images(2)),
        ImageRow(images(2), joined=True),
    ]
    places = extents(image_rows_figure(rows, title=""))
    bottoms, tops = [places[index][2] for index in (0, 4, 8)], [places[index][3] for index in (4, 8, 10)]
    gaps = [top - bottom for top, bottom in zip(tops, bottoms, strict=True)]

    assert gaps[0] == gaps[2] < gaps[1]
    assert gaps[0] == places[1][0] - places[0][1]  # as far as images side by side
    assert [place[0] for place in places] == [place[0] for place in places[:4]] * 2 + [
        place[0] for place in places[:2]
    ] * 2


def test_names_notes_and_captions_stand_at_their_images(texts_of: Callable) -> None:
    rows = [
        ImageRow(images(3), name="z7", note="KL 4.1"),
        ImageRow(images(3), name="z2", captions=("left", "", "right")),
    ]
    figure = image_rows_figure(rows, title="Traversal")
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    edges = extents(figure)

    for name, row in (("z7", edges[0]), ("KL 4.1", edges[0]), ("z2", edges[3])):
        assert places[name][0] < row[0]
        assert row[3] < places[name][1] < row[2]
    for caption, (left, right, bottom, _) in (("left", edges[3]), ("right", edges[5])):
        assert places[caption][0] == (left + right) / 2
        assert 0 < places[caption][1] - bottom < 50
    assert sorted(texts_of(figure)) == sorted(["Traversal", "z7", "KL 4.1", "z2", "left", "right"])


def test_framed_images_have_a_dark_ring_and_the_others_none(drawn_pixels: Callable) -> None:
    figure = image_rows_figure([ImageRow(torch.ones(3, 1, 8, 8), framed=(0, 2))], title="")
    picture = drawn_pixels(figure)
    down = picture.shape[0] - round(figure.axes[0].get_ylim()[0])

    for number, (left, right, bottom, top) in enumerate(np.round(extents(figure)).astype(int)):
        around = picture[top + down - 8 : bottom + down + 8, left - 8 : right + 8]
        assert ((around == (0x1F, 0x23, 0x28)).all(axis=-1).sum() > 2000) == (number != 1)


def test_captions_that_are_long_or_look_like_mathematics_do_not_touch(
    clipped_texts: Callable, overlapping_texts: Callable, texts_of: Callable
) -> None:
    rows = [
        ImageRow(
            images(9),
            name="a name far too long for the margin",
            note="and a note that is so",
            captions=["a long one"] * 9,
        ),
        ImageRow(images(9), name="$_{", captions=["$\\nons{$", *[""] * 7, "the end is a long one"]),
    ]
    figure = image_rows_figure(rows, title="$_{ " * 99, subtitle="long " * 99)

    assert clipped_texts(figure) == []
    assert overlapping_texts(figure) == []
    assert {"$_{", "$\\nons{$"} < set(texts_of(figure))


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^rows must be at least one ImageRow, but there is none; give"):
        image_rows_figure([], title="")
    for wrong, said in (
        (ImageRow(images(2)[0]), r"^rows\[1\]\.images must be a batch"),
        (ImageRow(images(2, 3)), r"^rows\[1\]\.images must have .* \(1, 8, 8\), but they have \(3, 8, 8\); draw"),
        (ImageRow(images(2), captions=["one"]), r"^rows\[1\]\.captions must be one for each of the 2 images"),
        (
            ImageRow(images(2), framed=(2,)),
            r"^rows\[1\]\.framed must be numbers of its images, 0 to 1, but they are \[2\]",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            image_rows_figure([ImageRow(images(2)), wrong], title="")
