"""The map of embeddings: a projection by t-SNE, and the figure with points coloured by class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.paper.names import medoid, shortened, write_names
from triptych.visualisation.paper.style import (
    DOTS_PER_INCH,
    INK,
    QUIET_INK,
    class_colours,
    fit_text,
    house_style,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_MAP = 1560
_MARGIN = 72
_HEAD = 196
_LEGEND_GAP = 48

_LEGEND_ROWS = 25
_NAMED_CLASSES = 100
"""Maximum number of classes with names on the map; the legend ends with the number of omitted ones."""
_POINTS_PER_NAME = 5
"""Minimum number of points per class for names, which would otherwise hide them."""


def embedding_figure(
    points: NDArray[np.floating] | Tensor,
    labels: NDArray[np.integer] | Tensor,
    *,
    classes: Sequence[str],
    title: str,
    subtitle: str = "",
) -> "Figure":
    """Draw a map of points coloured by class, with the classes' names on the map and in a legend beside it.

    Args:
        points: Finite places (N, 2), N at least 1; only their relative distances are drawn.
        labels: Class numbers (N,).
        classes: Names of the classes, by number; a class without a point is left out, and the others keep their colour.
        title: One line above the map; without it and a subtitle, the map begins at the top.
        subtitle: A smaller line below the title: how many points, which projection, which accuracy.

    Returns:
        A figure as wide as its legend needs.
    """
    places = torch.as_tensor(points).detach().cpu().double().numpy()
    numbers = torch.as_tensor(labels).detach().cpu()
    present = sorted(set(numbers.tolist()))
    colours = class_colours(len(classes))

    wide, high = np.ptp(places, axis=0)
    map_height = round(_MAP * float(np.clip(high / wide if wide else 1.0, 0.75, 1.0)))
    height = (_HEAD if title or subtitle else _MARGIN) + map_height + _MARGIN
    with house_style():
        figure = new_figure(_MAP, height)
        width = _add_legend(figure, [(classes[label], colours[label]) for label in present], top=_MARGIN + map_height)
        figure.set_size_inches(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
        axes = figure.add_axes((_MARGIN / width, _MARGIN / height, _MAP / width, map_height / height))
        _scatter(axes, places, [colours[label] for label in numbers.tolist()])
        if len(present) <= min(_NAMED_CLASSES, len(places) // _POINTS_PER_NAME):
            write_names(axes, [(classes[label], medoid(places[(numbers == label).numpy()])) for label in present])
        for text, size, weight, ink, top in ((title, 10, "bold", INK, 66), (subtitle, 7, "normal", QUIET_INK, 130)):
            line = figure.text(_MARGIN / width, 1 - top / height, text, va="top", parse_math=False)
            line.set(size=size, weight=weight, color=ink)
            fit_text(line, width - 2 * _MARGIN)
    return figure


def _scatter(axes: "Axes", places: NDArray[np.float64], colours: list[str]) -> None:
    """Draw the points in one shuffled layer, so that no class lies on top of the others."""
    order = np.random.default_rng(0).permutation(len(places))
    area = float(np.clip(9000 / len(places), 4, 30))
    x, y = places[order].T
    axes.scatter(x, y, s=area, c=[colours[index] for index in order], alpha=0.8, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    for spine in axes.spines.values():
        spine.set(color="#d0d5da", linewidth=0.6)


def _add_legend(figure: "Figure", entries: list[tuple[str, str]], *, top: int) -> int:
    """List names and colours right of the map, from its top; return the width in pixels that the figure then needs."""
    from matplotlib.lines import Line2D

    left_out = len(entries) - _NAMED_CLASSES
    if left_out > 0:
        entries = [*entries[:_NAMED_CLASSES], (f"and {left_out} more", "none")]
    marks = [Line2D([], [], color=colour, marker="o", linestyle="none", markersize=4.5) for _, colour in entries]
    legend = figure.legend(
        marks,
        [" "] * len(marks),
        loc="upper left",
        bbox_to_anchor=((_MARGIN + _MAP + _LEGEND_GAP) / DOTS_PER_INCH, top / DOTS_PER_INCH),
        bbox_transform=figure.dpi_scale_trans,
        ncols=-(-len(entries) // _LEGEND_ROWS),
        fontsize=7 if len(entries) <= _LEGEND_ROWS else 6,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handletextpad=0.2,
        labelspacing=0.65,
        columnspacing=1.2,
    )
    # Written afterwards, because a legend takes no name that begins with an underscore and reads "$" as mathematics.
    for text, (name, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(shortened(name, to=26))
    return round(_MARGIN + _MAP + _LEGEND_GAP + legend.get_window_extent().width + _MARGIN)


_PERPLEXITY = 30.0


def project_tsne(embeddings: Tensor | NDArray[np.floating], *, seed: int) -> NDArray[np.float32]:
    """Lay out embeddings so that near neighbours stay near (t-SNE, van der Maaten and Hinton, JMLR 2008).

    Near is meant by angle: rows are scaled to unit length, where the squared Euclidean distance is twice the cosine
    distance. The layout starts from the two principal axes, which keeps more of the large-scale structure than a
    random start does (Kobak and Berens, Nature Communications 2019). The perplexity is 30, or a third of the number of
    neighbours where that is less.

    Args:
        embeddings: Finite vectors (N, E), N and E at least 1.
        seed: The same seed gives the same map on the same machine.

    Returns:
        Points (N, 2); only their relative distances mean anything.

    Example:
        >>> project_tsne(torch.eye(5), seed=0).shape
        (5, 2)
    """
    from sklearn.manifold import TSNE

    vectors = torch.as_tensor(embeddings).detach().cpu().double()
    if len(vectors) == 1:
        return np.zeros((1, 2), dtype=np.float32)
    unit = F.normalize(vectors).numpy()
    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init=_start(unit, seed=seed), random_state=seed)
    return np.asarray(tsne.fit_transform(unit.astype(np.float32)), dtype=np.float32)


def _start(vectors: NDArray[np.float64], *, seed: int) -> NDArray[np.float32]:
    """Give the first layout: the two principal axes at a spread of 1e-4, and noise of a hundredth of that.

    scikit-learn's own `init="pca"` divides by the spread, and so crashes the process on embeddings that have all
    collapsed into one point, which is when a picture is needed most.
    """
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    principal = np.zeros((len(vectors), 2))
    principal[:, : len(axes[:2])] = centred @ axes[:2].T
    noise = np.random.default_rng(seed).normal(size=principal.shape)
    start = 1e-4 * principal / max(principal[:, 0].std(), 1e-6) + 1e-6 * noise
    return np.asarray(start, dtype=np.float32)
