"""What a reader learns first: one figure for each panel of the run, in plain words."""

import math
from collections.abc import Callable, Mapping
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


CERTAIN = 2.0
"""Standard errors that two shares must differ by to be called different."""
CLEARLY = 1.5
"""The ratio from which people are told it as one."""


@dataclass(frozen=True)
class Bar:
    """A method and what it reaches; less is better.

    Attributes:
        title: The method.
        value: Its figure.
        written: The figure for people.
        share: The figure as a share of the longest bar's.
        is_ours: Whether it is this model.
    """

    title: str
    value: float
    written: str
    share: float
    is_ours: bool


@dataclass(frozen=True)
class Comparison:
    """The model beside simple methods.

    Attributes:
        title: What is compared.
        bars: The methods, the best first.
        verdict: How the model does, in words.
    """

    title: str
    bars: tuple[Bar, ...]
    verdict: str


def comparisons(figures: Mapping[str, Any], baselines: Mapping[str, float], *, images: int) -> list[Comparison]:
    """Compare a model's figures with those of simple methods.

    Args:
        figures: Of the model, by the names of metrics.json.
        baselines: Of methods that learn no embedding, by the names of metrics.json.
        images: How many images all of them were measured on.
    """
    told = [_naming(figures, baselines, images), _searching(figures, baselines, images)]
    return [*told, _repainting(figures, baselines)] if "mse" in figures and "pca_mse" in baselines else told


def _naming(figures: Mapping[str, Any], baselines: Mapping[str, float], images: int) -> Comparison:
    ours = ("this model's classifier", 1 - figures["accuracy"])
    others = {"a linear classifier on pixels": 1 - baselines["linear_classifier"]}
    return _shares("Images with a wrong name", ours, others, images)


def _searching(figures: Mapping[str, Any], baselines: Mapping[str, float], images: int) -> Comparison:
    ours = ("this model's embeddings", 1 - figures["nearest_neighbour_accuracy"])
    others = {"raw pixels": 1 - baselines["pixels_1nn"], "PCA of the pixels": 1 - baselines["pca_1nn"]}
    return _shares("Images whose nearest training image has another class, by", ours, others, images)


def _shares(title: str, ours: tuple[str, float], others: Mapping[str, float], images: int) -> Comparison:
    """Compare shares of wrong images, and ask whether they differ by more than the chance that chose the images."""
    wrong = ours[1]
    rival, least = min(others.items(), key=lambda item: item[1])
    error = math.sqrt((wrong * (1 - wrong) + least * (1 - least)) / images)
    if abs(least - wrong) <= CERTAIN * error:
        verdict = f"No clear difference to {rival}: {images:,} images cannot tell the two apart."
    elif wrong > least:
        verdict = f"Worse than with {rival}: {percent(wrong, of=images)} are wrong, not {percent(least, of=images)}."
    elif wrong == 0:
        verdict = f"Not one is wrong; with {rival}, {percent(least, of=images)} are."
    else:
        best = f"{rival}, the best of the simple methods" if len(others) > 1 else rival
        ratio = least / wrong
        fewer = f"{ratio:.1f} times" if ratio >= CLEARLY else f"{100 * (1 - wrong / least):.0f}%"
        verdict = f"{fewer} fewer than with {best}."
    return Comparison(title, _bars(ours, others, lambda share: percent(share, of=images)), verdict)


def _repainting(figures: Mapping[str, Any], baselines: Mapping[str, float]) -> Comparison:
    ours = ("this model", figures["mse"])
    others = {f"PCA with as many numbers ({len(figures['kl_per_dimension'])})": baselines["pca_mse"]}
    ratio = figures["mse"] / baselines["pca_mse"] if baselines["pca_mse"] else math.inf
    if ratio < 0.98:
        verdict = f"This model repaints better: its error is {100 * (1 - ratio):.0f}% smaller."
    elif ratio <= 1.02:
        verdict = "Both repaint equally well."
    else:
        verdict = (
            f"PCA repaints better: this model's error is {ratio:.1f} times as large. PCA's numbers do nothing else; "
            "this model's also have to compare and to name, and are blurred by the noise of training."
        )
    return Comparison("Squared error of a repainted pixel", _bars(ours, others, shown), verdict)


def _bars(ours: tuple[str, float], others: Mapping[str, float], write: Callable[[float], str]) -> tuple[Bar, ...]:
    values = {ours[0]: ours[1], **others}
    longest = max(values.values()) or 1.0
    ordered = sorted(values.items(), key=lambda item: item[1])
    return tuple(
        Bar(_capital(title), value, write(value), value / longest, title == ours[0]) for title, value in ordered
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
