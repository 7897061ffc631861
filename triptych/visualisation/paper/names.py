"""Class names on the map of embeddings: their positions, and removal of overlaps."""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In pixels of the saved picture.
_BETWEEN = np.array([6.0, 2.0])
_FROM_FRAME = 12.0

_ROUNDS = 300

_LONG_START = 8
"""Maximum number of characters, about as many as fit below a small image."""


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return the names for a figure, where long ones are cut at the end: a long start of all names is an ellipsis.

    The start is cut at the end of a word. Names that differ early stay as they are.

    Example:
        >>> distinct_names(["traffic sign, speed limit 30", "traffic sign, speed limit 50"])
        ['…30', '…50']
        >>> distinct_names(["ankle boot", "ankle socks"])
        ['ankle boot', 'ankle socks']
    """
    # The last character of no name is a part of the start, which leaves something of each.
    columns = zip(*(name[:-1] for name in names), strict=False) if len(names) > 1 else ()
    start = "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
    words = re.match(r".*[\W_]", start, re.DOTALL)
    length = len(words[0]) if words else 0
    return [f"…{name[length:]}" for name in names] if length >= _LONG_START else list(names)


def shortened(name: str, *, to: int) -> str:
    """Cut a name to at most `to` characters, the last of which is then an ellipsis.

    Example:
        >>> shortened("ankle boot", to=7)
        'ankle…'
    """
    return name if len(name) <= to else f"{name[: to - 1].rstrip()}…"


def medoid(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Choose the point (2,) of a class (N, 2) to write its name on: the one with the smallest median distance to all.

    The median of the coordinates would put the name of a class in two clusters into the void between them.

    Example:
        >>> medoid(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [9.0, 9.0], [-9.0, 9.0]]))
        array([1., 0.])
    """
    some = torch.from_numpy(points[:1000])  # enough to find the place, and a bound on the memory
    return np.asarray(points[int(torch.cdist(some, some).median(dim=1).values.argmin())])


def write_names(axes: "Axes", medoids: list[tuple[str, NDArray[np.float64]]]) -> None:
    """Write names at their places, in data coordinates, moved aside as far as they would overlap.

    Up to 20 names are bold; more are small and cut shorter.
    """
    from matplotlib.patheffects import withStroke

    few = len(medoids) <= 20
    axes.apply_aspect()
    texts = [
        axes.text(x, y, shortened(name, to=26 if few else 16), ha="center", va="center", parse_math=False)
        for name, (x, y) in medoids
    ]
    for text in texts:
        text.set(size=8 if few else 5.5, weight="bold" if few else "normal")
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white", alpha=0.9)])
    boxes = [text.get_window_extent() for text in texts]
    frame = axes.get_window_extent()
    centres = spread(
        np.array([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]),
        np.array([(box.width, box.height) for box in boxes]) + _BETWEEN,
        lower=np.array([frame.x0, frame.y0]) + _FROM_FRAME,
        upper=np.array([frame.x1, frame.y1]) - _FROM_FRAME,
    )
    for text, centre in zip(texts, axes.transData.inverted().transform(centres), strict=True):
        text.set_position(centre)


def spread(
    centres: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Move boxes apart, each overlapping pair along its shorter way out, and keep them within bounds.

    It is a relaxation of a bounded number of rounds: boxes that need more room than there is still overlap.

    Args:
        centres: Centres of the boxes (K, 2).
        sizes: Their widths and heights (K, 2).
        lower: The corner (2,) that no box goes below.
        upper: The corner (2,) that no box goes beyond.

    Returns:
        New centres (K, 2); boxes without an overlap keep theirs.

    Example:
        >>> boxes = np.array([[5.0, 5.0], [5.0, 6.0]]), np.full((2, 2), 2.0)
        >>> spread(*boxes, lower=np.zeros(2), upper=np.full(2, 10.0)).round(1).tolist()
        [[5.0, 4.5], [5.0, 6.5]]
    """
    centres = centres.copy()
    order = np.arange(len(centres))
    tie = np.sign(order[:, None] - order)[..., None]  # boxes at the very same place part by their order
    reach = (sizes[:, None] + sizes[None]) / 2
    for _ in range(_ROUNDS):
        offset = centres[:, None] - centres[None]
        overlap = np.where(tie == 0, 0.0, reach - np.abs(offset))
        push = np.where((overlap > 1e-3).all(axis=2, keepdims=True), overlap, 0.0)
        if not push.any():
            break
        push *= overlap == overlap.min(axis=2, keepdims=True)
        centres += 0.3 * (push * np.where(offset == 0, tie, np.sign(offset))).sum(axis=1)
        centres = np.clip(centres, lower + sizes / 2, upper - sizes / 2)
    return centres
