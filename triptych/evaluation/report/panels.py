"""What a reader learns first: one figure for each panel of the run, in plain words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.table import shown
from triptych.runs.definitions import DEFINITIONS

SPLIT_NAMES = {"test": "test", "val": "validation", "train": "training"}
"""What people call the splits."""
MANY = 5000
"""Images of which a hundredth of one per cent is about one."""


@dataclass(frozen=True)
class Panel:
    """A panel at the head of the page.

    Attributes:
        name: Compare, Name or Repaint.
        value: Its figure.
        claim: What the figure is, as the end of a sentence that begins with it.
        meaning: A sentence or two about it.
        details: Further figures: title, value and meaning.
    """

    name: str
    value: str
    claim: str
    meaning: str
    details: tuple[tuple[str, str, str], ...]


def panels(evaluation: Evaluation) -> list[Panel]:
    """Tell what the model reaches: two panels, or three where it repaints."""
    figures = evaluation.figures
    told = [_compare(figures, len(evaluation.split)), _name(evaluation)]
    return [*told, _repaint(figures, evaluation)] if evaluation.outputs.repainting else told


def percent(share: float, *, of: int = 0) -> str:
    """Write a share of so many images in per cent: to a tenth, or to a hundredth where that many can tell.

    Example:
        >>> percent(0.9876), percent(0.98949999, of=10_000), percent(1.0)
        ('98.8%', '98.95%', '100%')
    """
    if math.isnan(share):
        return "n/a"
    return f"{100 * share:.{2 if of >= MANY else 1}f}%" if 0 < share < 1 else f"{100 * share:.0f}%"


def _compare(figures: Mapping[str, Any], count: int) -> Panel:
    return Panel(
        "Compare",
        percent(figures["precision_at_1"], of=count),
        "have one of their own class as nearest neighbour",
        "Looked for among the other images of the split, by nothing but the distance of embeddings.",
        _details(figures, "map_at_r", "recall_at_10", "nearest_neighbour_accuracy", "ami"),
    )


def _name(evaluation: Evaluation) -> Panel:
    count, accuracy = len(evaluation.split), evaluation.figures["accuracy"]
    wrong = round(count * (1 - accuracy))
    commonest = float(evaluation.outputs.labels.bincount().max()) / count
    return Panel(
        "Name",
        percent(accuracy, of=count),
        "are named right",
        f"{wrong:,} of {count:,} {SPLIT_NAMES[evaluation.split_name]} images got a wrong name. Always saying the "
        f"commonest class would name {percent(commonest)} right.",
        _details(evaluation.figures, "macro_f1", "ece", "nll"),
    )


def _repaint(figures: Mapping[str, Any], evaluation: Evaluation) -> Panel:
    dimensions = len(figures["kl_per_dimension"])
    _, *shape = evaluation.split.images.shape
    return Panel(
        "Repaint",
        percent(math.sqrt(figures["mse"])),
        "is how far repainted pixels are off",
        f"Of the way from black to white, as a root mean square. {math.prod(shape):,} values of an image are repainted "
        f"from {dimensions} numbers.",
        _details(figures, "psnr", "ssim", "kl_divergence", "active_units"),
    )


def _details(figures: Mapping[str, Any], *names: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (DEFINITIONS[name].title, shown(figures[name]), DEFINITIONS[name].meaning) for name in names if name in figures
    )
