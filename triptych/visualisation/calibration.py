"""The reliability diagram: accuracy against confidence, and the expected calibration error."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.paper.sheet import MARGIN, Sheet, open_sheet
from triptych.visualisation.paper.style import INK, OTHER_CLASS, QUIET_INK, SAME_CLASS, blend, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_LEFT = 110
"""Space for the numbers and the label of the vertical axis."""
_WIDTH = 1130
_DIAGRAM = 760
_BETWEEN = 70
_HISTOGRAM = 230
_BELOW = 80
_FIGURES = MARGIN + _LEFT + _WIDTH + 100
"""Where the column of numbers begins."""

_BINS = 15
_PER_CENT = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def calibration_figure(
    confidence: NDArray[np.floating] | Tensor,
    correct: NDArray[np.bool_] | Tensor,
) -> "Figure":
    """Draw the accuracy of predictions against their confidence (Guo et al., ICML 2017).

    Predictions are put into 15 bins of equal width by their confidence; a bar is the share of a bin that is right, with
    its 95% interval (Wilson's), and the shaded gap is what is missing to, or beyond, the bin's mean confidence. The
    expected calibration error is the mean gap, weighted by the bins' sizes. A histogram shows the numbers of images.

    Args:
        confidence: Probabilities (N,) in [0, 1] that the model gave to its predictions, N at least 1.
        correct: Whether each prediction was right, (N,).

    Returns:
        A figure 2,000 pixels wide.
    """
    sure, right = (torch.as_tensor(part).detach().cpu().double().numpy() for part in (confidence, correct))
    sure, bins = np.minimum(sure, 1.0), _BINS
    number = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    sizes = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_sure, mean_right = (np.bincount(number, part, bins) / sizes for part in (sure, right))
    error = float(np.nansum(sizes * np.abs(mean_right - mean_sure)) / len(sure))
    with house_style():
        height = _DIAGRAM + _BETWEEN + _HISTOGRAM + _BELOW
        sheet = open_sheet(height)
        _draw_diagram(sheet.panel(MARGIN + _LEFT, 0, _WIDTH, _DIAGRAM), sizes, mean_sure, mean_right)
        _draw_histogram(sheet.panel(MARGIN + _LEFT, _DIAGRAM + _BETWEEN, _WIDTH, _HISTOGRAM), sizes)
        _write_figures(sheet, error, float(right.mean()), float(sure.mean()))
    return sheet.figure


def _draw_diagram(
    axes: "Axes", sizes: NDArray[np.int_], mean_sure: NDArray[np.float64], mean_right: NDArray[np.float64]
) -> None:
    bins = len(sizes)
    full = np.flatnonzero(sizes)
    middles, width = (full + 0.5) / bins, 0.92 / bins
    bar, gap = blend(SAME_CLASS, 0.6), blend(OTHER_CLASS, 0.3)
    axes.bar(middles, mean_right[full], width, color=bar, label="accuracy")
    axes.bar(
        middles,
        mean_sure[full] - mean_right[full],
        width,
        bottom=mean_right[full],
        color=gap,
        edgecolor=OTHER_CLASS,
        linewidth=0.5,
        hatch="/////",
        label="gap to the confidence",
    )
    axes.plot([0, 1], [0, 1], color=QUIET_INK, linewidth=0.8, linestyle=(0, (4, 3)), label="perfectly calibrated")
    low, high = _wilson(mean_right[full], sizes[full])
    axes.vlines(middles, low, high, color=INK, linewidth=0.8, label="95% interval")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=_PER_CENT, yticks=_PER_CENT)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_ylabel("accuracy", color=QUIET_INK)
    axes.legend(loc="upper left", frameon=False, fontsize=6.5, labelspacing=0.6)


def _wilson(shares: NDArray[np.float64], sizes: NDArray[np.int_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95% interval of a share of n items (E. B. Wilson, JASA 1927)."""
    z = 1.96
    middle = (shares + z**2 / (2 * sizes)) / (1 + z**2 / sizes)
    half = z / (1 + z**2 / sizes) * np.sqrt(shares * (1 - shares) / sizes + z**2 / (4 * sizes**2))
    return middle - half, middle + half


def _draw_histogram(axes: "Axes", sizes: NDArray[np.int_]) -> None:
    """Draw how many images are in each bin, on a logarithmic scale: most models are confident of most images."""
    bins = len(sizes)
    axes.bar((np.arange(bins) + 0.5) / bins, sizes, 0.92 / bins, color="#aab4bd")
    axes.set_yscale("log")
    axes.set(xlim=(0, 1), ylim=(0.7, 2 * sizes.max()), xticks=_PER_CENT)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("images", color=QUIET_INK)
    axes.set_xlabel("confidence", color=QUIET_INK)


def _write_figures(sheet: Sheet, error: float, accuracy: float, confidence: float) -> None:
    """Write the three numbers of the diagram, and what the last two mean together."""
    rows = (("expected calibration error", error), ("accuracy", accuracy), ("mean confidence", confidence))
    for line, (name, number) in enumerate(rows):
        y = 66 + 170 * line
        sheet.write(_FIGURES, y, f"{number:.1%}", size=11, weight="bold")
        sheet.write(_FIGURES, y + 46, name, colour=QUIET_INK)
    excess = 100 * (confidence - accuracy)
    words = ("confidence equals accuracy", "to a tenth of a point")
    if abs(excess) >= 0.05:
        word = "overconfident" if excess > 0 else "underconfident"
        words = (word, f"by {abs(excess):.1f} points on average")
    for line, text in enumerate(words):
        sheet.write(_FIGURES, 576 + 44 * line, text)
