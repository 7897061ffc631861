"""The map of embeddings: one colour to a class everywhere, names on the paper, any number of classes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from triptych.visualisation.embeddings import embedding_figure, project_tsne
from triptych.visualisation.paper.style import class_colours


def clusters(classes: int, points: int, *, seed: int = 0) -> tuple[np.ndarray, torch.Tensor]:
    """Points in one cluster to a class, every class present while there are points for it."""
    generator = np.random.default_rng(seed)
    labels = np.arange(points) % classes
    centres = 8 * generator.normal(size=(classes, 2))
    return centres[labels] + generator.normal(size=(points, 2)), torch.from_numpy(labels)


def draw(classes: int, points: int, names: tuple[str, ...] | None = None) -> Figure:
    places, labels = clusters(classes, points)
    names = names or tuple(f"class {number}" for number in range(classes))
    return embedding_figure(places, labels, classes=names, title="A map", subtitle=f"{points} points")


def legend_colours(figure: Figure) -> dict[str, str]:
    (legend,) = figure.legends
    marks = (to_hex(mark.get_color()) for mark in legend.legend_handles)
    return dict(zip((text.get_text() for text in legend.get_texts()), marks, strict=True))


@pytest.mark.parametrize(("classes", "points"), [(1, 1), (2, 5), (10, 10), (10, 600), (23, 300), (100, 1000)])
def test_any_number_of_classes_and_points_is_drawn_within_the_paper(
    classes: int, points: int, pixels_of: Callable, clipped_texts: Callable
) -> None:
    figure = draw(classes, points)

    picture = pixels_of(figure)
    assert picture.shape[:2] == tuple(reversed([round(300 * inches) for inches in figure.get_size_inches()]))
    assert 0.002 < (picture != 255).any(axis=-1).mean() < 0.5
    assert clipped_texts(figure) == []
    assert len(legend_colours(figure)) == classes


def test_a_class_has_one_colour_among_the_points_and_in_the_legend(pixels_of: Callable) -> None:
    places, labels = clusters(10, 400)
    names = tuple("abcdefghij")
    figure = embedding_figure(places, labels, classes=names, title="A map", subtitle="")
    (points,) = figure.axes[0].collections

    in_legend = legend_colours(figure)
    label_at = {tuple(place): label for place, label in zip(places, labels, strict=True)}
    for place, colour in zip(points.get_offsets(), points.get_facecolors(), strict=True):
        label = label_at[tuple(place)]
        assert to_hex(colour) == in_legend[names[label]] == class_colours(10)[label]
    picture = pixels_of(figure)
    for colour in in_legend.values():
        assert (picture == np.round(255 * np.array(to_rgb(colour)))).all(axis=-1).sum() > 100


def test_classes_without_a_point_are_left_out_and_the_others_keep_their_colours() -> None:
    places, _ = clusters(1, 30)
    labels = torch.tensor([1, 4, 7] * 10)
    figure = embedding_figure(places, labels, classes=tuple("abcdefghij"), title="A map", subtitle="")

    colours = class_colours(10)
    assert legend_colours(figure) == {"b": colours[1], "e": colours[4], "h": colours[7]}
    assert {text.get_text() for text in figure.axes[0].texts} == {"b", "e", "h"}


def test_names_are_written_on_their_clusters() -> None:
    places, labels = clusters(6, 300)
    figure = embedding_figure(places, labels, classes=tuple("abcdef"), title="A map", subtitle="")

    for text in figure.axes[0].texts:
        own = places[labels == "abcdef".index(text.get_text())]
        assert np.linalg.norm(np.array(text.get_position()) - own.mean(axis=0)) < 2


def test_names_are_not_written_where_they_would_hide_the_points() -> None:
    assert not draw(10, 30).axes[0].texts
    assert len(draw(10, 100).axes[0].texts) == 10


def test_more_than_a_hundred_classes_end_with_how_many_are_left_out(clipped_texts: Callable) -> None:
    figure = draw(1200, 1200)

    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["class 99", "and 1100 more"]
    assert figure.get_size_inches()[0] < 12
    assert clipped_texts(figure) == []


def test_names_that_are_long_or_look_like_something_else_are_drawn_as_they_are(
    pixels_of: Callable, clipped_texts: Callable
) -> None:
    names = ("_hidden", "$5 and $10", "$\\nonsense{$", "a name that is much longer than a legend can be wide", "")
    figure = draw(5, 100, names)

    pixels_of(figure)
    assert {"_hidden", "$5 and $10", "$\\nonsense{$", "a name that is much longe…"} < set(legend_colours(figure))
    assert clipped_texts(figure) == []


def test_a_title_wider_than_the_paper_is_shortened(clipped_texts: Callable) -> None:
    places, labels = clusters(2, 20)
    figure = embedding_figure(places, labels, classes=("a", "b"), title="Long " * 60, subtitle="longer " * 60)

    assert clipped_texts(figure) == []


@pytest.mark.parametrize("places", [np.zeros((20, 2)), np.column_stack([np.arange(20), np.zeros(20)])])
def test_points_in_one_place_or_on_one_line_are_drawn(places: np.ndarray, pixels_of: Callable) -> None:
    figure = embedding_figure(places, torch.arange(20) % 2, classes=("a", "b"), title="A map", subtitle="")

    assert pixels_of(figure).min() < 100


def test_the_same_points_give_the_same_bytes(pixels_of: Callable) -> None:
    assert np.array_equal(pixels_of(draw(10, 200)), pixels_of(draw(10, 200)))


@pytest.mark.parametrize("stretch", [(1, 1), (5, 1), (1, 5)])
def test_distances_have_one_scale_both_ways_and_the_map_fills_its_place(
    stretch: tuple[int, int], pixels_of: Callable
) -> None:
    places, labels = clusters(3, 60)
    figure = embedding_figure(places * stretch, labels, classes=tuple("abc"), title="A map", subtitle="")
    pixels_of(figure)
    corner, right, up = figure.axes[0].transData.transform([(0, 0), (1, 0), (0, 1)])
    frame = figure.axes[0].get_window_extent()

    assert right[0] - corner[0] == pytest.approx(up[1] - corner[1])
    assert frame.width == pytest.approx(1560)
    assert 0.75 - 1e-3 < frame.height / frame.width < 1 + 1e-3


@pytest.mark.parametrize("width", [1, 2, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_any_number_of_embeddings_of_any_width_has_a_map(count: int, width: int) -> None:
    points = project_tsne(torch.randn(count, width, generator=torch.Generator().manual_seed(0)), seed=0)

    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_the_seed_decides_the_map() -> None:
    embeddings = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    first, again, other = (project_tsne(embeddings, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_lengths_do_not_count_only_angles() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    lengths = 2.0 ** torch.randint(-3, 4, (30, 1), generator=generator)

    assert np.array_equal(project_tsne(embeddings, seed=0), project_tsne(embeddings * lengths, seed=0))


def test_real_digits_that_are_neighbours_stay_neighbours() -> None:
    digits = load_digits()
    embeddings, labels = digits.data[:500], digits.target[:500]
    points = project_tsne(embeddings, seed=0)

    neighbours = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    assert (labels[neighbours] == labels[:, None]).mean() > 0.9


@pytest.mark.parametrize("spread", [0.0, 1e-7])
def test_embeddings_that_have_collapsed_still_have_a_map(spread: float) -> None:
    """scikit-learn's own start crashes the process here."""
    embeddings = torch.ones(60, 8) + spread * torch.randn(60, 8, generator=torch.Generator().manual_seed(0))

    assert np.isfinite(project_tsne(embeddings, seed=0)).all()


def test_embeddings_of_a_few_identical_groups_lie_in_those_groups() -> None:
    points = project_tsne(torch.eye(4).repeat_interleave(20, dim=0), seed=0)

    centres = points.reshape(4, 20, 2).mean(axis=1)
    within = np.linalg.norm(points.reshape(4, 20, 2) - centres[:, None], axis=2).max()
    between = min(np.linalg.norm(centres[a] - centres[b]) for a in range(4) for b in range(a))
    assert between > within


def test_zero_vectors_half_precision_gradients_and_arrays_are_taken() -> None:
    assert project_tsne(torch.zeros(9, 4), seed=0).shape == (9, 2)
    assert project_tsne(torch.rand(9, 4, dtype=torch.bfloat16), seed=0).shape == (9, 2)
    assert project_tsne(torch.rand(9, 4, requires_grad=True), seed=0).shape == (9, 2)
    assert project_tsne(np.random.default_rng(0).normal(size=(9, 4)), seed=0).shape == (9, 2)
