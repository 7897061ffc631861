"""The confusion matrix, correct in blue and errors in vermilion, to see which classes a model confuses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.confusion_sheet import AXIS, BESIDE_NAME, ConfusionLayout, draw_key, write_errors
from triptych.visualisation.paper.sheet import MARGIN, Sheet, open_sheet
from triptych.visualisation.paper.style import INK, OTHER_CLASS, QUIET_INK, SAME_CLASS, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EMPTY = "#f5f6f7"
_SMALLEST = 4.0
"""Points of type below which counts are not written."""


def confusion_figure(counts: NDArray[np.integer] | Tensor, *, classes: Sequence[str]) -> "Figure":
    """Draw the confusion matrix.

    A row is a true class, a column a predicted one. A colour is as strong as the square root of the cell's share of its
    row, so that an error made once in a hundred can be seen. Counts are written where they fit, the names of up to 110
    classes, and the most frequent errors in words.

    Args:
        counts: Numbers of images (K, K), those of true class i in row i. Rows may be without images.
        classes: The names of the K classes.

    Returns:
        A figure 2,000 pixels wide.
    """
    table = torch.as_tensor(counts).detach().cpu().double().numpy()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    with house_style():
        layout = ConfusionLayout.of(table, classes)
        sheet = open_sheet(layout.height)
        _draw_cells(sheet, np.sqrt(shares), layout)
        _write_counts(sheet, table, np.sqrt(shares), layout)
        _write_names(sheet, classes, layout)
        _write_recall(sheet, table, layout)
        draw_key(sheet, *layout.key)
        x, y, width = layout.errors
        write_errors(sheet, table, classes, x=x, y=y, width=width)
    return sheet.figure


def _draw_cells(sheet: Sheet, strength: NDArray[np.float64], layout: ConfusionLayout) -> None:
    """Colour the cells; white lines separate them if they are large enough."""
    from matplotlib.colors import to_rgb

    is_right = np.eye(len(strength), dtype=bool)[..., None]
    full = np.where(is_right, to_rgb(SAME_CLASS), to_rgb(OTHER_CLASS))
    picture = np.where(strength[..., None] > 0, 1 - strength[..., None] * (1 - full), to_rgb(_EMPTY))
    (x, y), side = layout.corner, layout.side
    sheet.axes.imshow(picture, extent=(x, x + side, y + side, y), aspect="auto", interpolation="nearest")
    if layout.cell >= 12:
        between = np.arange(1, layout.count) * layout.cell
        width = min(1.0, layout.cell / 50)
        sheet.axes.vlines(x + between, y, y + side, color="white", linewidth=width)
        sheet.axes.hlines(y + between, x, x + side, color="white", linewidth=width)


def _write_counts(
    sheet: Sheet, table: NDArray[np.float64], strength: NDArray[np.float64], layout: ConfusionLayout
) -> None:
    if layout.count_size < _SMALLEST:
        return
    x, y = layout.corner
    for row, column in np.argwhere(table > 0).tolist():
        place = (x + (column + 0.5) * layout.cell, y + (row + 0.5) * layout.cell)
        ink = "white" if strength[row, column] > 0.68 else INK
        text = f"{table[row, column]:,.0f}"
        sheet.write(*place, text, size=layout.count_size, colour=ink, align="center", baseline="center_baseline")


def _write_names(sheet: Sheet, classes: Sequence[str], layout: ConfusionLayout) -> None:
    """Name rows and columns, the columns upright where they are narrow, and title both."""
    x, y = layout.corner
    sheet.write(x, AXIS - 30, "predicted class", colour=QUIET_INK)
    sheet.write(MARGIN, y, "true class", colour=QUIET_INK, baseline="top").set(rotation=90)
    if not layout.is_named:
        return
    size, width = layout.name_size, layout.name_width - BESIDE_NAME
    for number, name in enumerate(classes):
        middle = (number + 0.5) * layout.cell
        sheet.write(x - 16, y + middle, name, size=size, align="right", baseline="center_baseline", width=width)
        column = sheet.write(x + middle, y - 14, name, size=size, align="center", width=width)
        if layout.is_upright:
            column.set(rotation=90, va="bottom")


def _write_recall(sheet: Sheet, table: NDArray[np.float64], layout: ConfusionLayout) -> None:
    if not layout.is_named:
        return
    right, y, size, totals = layout.recall, layout.corner[1], layout.name_size, table.sum(axis=1)
    sheet.write(right, y - 14, "recall", size=size, colour=QUIET_INK, align="right")
    for number in np.flatnonzero(totals).tolist():
        text, middle = f"{table[number, number] / totals[number]:.1%}", y + (number + 0.5) * layout.cell
        sheet.write(right, middle, text, size=size, align="right", baseline="center_baseline")
