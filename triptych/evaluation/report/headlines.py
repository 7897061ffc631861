"""The head of the report: one figure for each panel of the run, and the model beside simple methods, with intervals."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.table import shown, three_digits
from triptych.metrics.intervals import LEVEL, Interval, mcnemar, ratio_of_errors
from triptych.runs.definitions import DEFINITIONS

SPLIT_NAMES = {"test": "test", "val": "validation", "train": "training"}
"""The splits as adjectives."""
MANY = 5000
"""Images of which a hundredth of one per cent is about one."""
CLEARLY = 1.5
"""The ratio from which errors are compared by a factor, and not in per cent."""


@dataclass(frozen=True)
class Panel:
    """A panel at the head of the page.

    Attributes:
        name: Compare, Name or Repaint.
        term: The standard term for it.
        value: Its figure.
        interval: Its 95 % interval.
        claim: What the figure is.
        meaning: A sentence or two about it.
        details: Further figures: title, value and meaning.
    """

    name: str
    term: str
    value: str
    interval: str
    claim: str
    meaning: str
    details: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Bar:
    """A method and its figure; less is better.

    Attributes:
        title: The method.
        value: Its figure.
        written: The figure as text.
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
        verdict: The result in words.
    """

    title: str
    bars: tuple[Bar, ...]
    verdict: str


def panels(evaluation: Evaluation) -> list[Panel]:
    """Describe the results of the two panels of a run, or of three with a decoder."""
    found = [_compare(evaluation.figures, len(evaluation.split)), _name(evaluation)]
    return [*found, _repaint(evaluation.figures, evaluation)] if evaluation.outputs.reconstructed else found


def percent(share: float, *, of: int = 0) -> str:
    """Write a share of so many images in per cent: to a tenth, or to a hundredth where that many images allow it.

    Example:
        >>> percent(0.9876), percent(0.98949999, of=10_000), percent(1.0)
        ('98.8%', '98.95%', '100%')
    """
    if math.isnan(share):
        return "n/a"
    return f"{100 * share:.{2 if of >= MANY else 1}f}%" if 0 < share < 1 else f"{100 * share:.0f}%"


def percent_range(interval: Interval, *, of: int = 0) -> str:
    """Write the bounds of a share in per cent.

    Example:
        >>> percent_range(Interval(0.9, 0.85, 0.94))
        '85.0% to 94.0%'
    """
    return f"{percent(interval.low, of=of)} to {percent(interval.high, of=of)}"


def comparisons(evaluation: Evaluation) -> list[Comparison]:
    """Compare a model's figures with those of simple methods on the same images."""
    figures, baselines = evaluation.figures, evaluation.baselines
    errors = {name: ~right for name, right in baselines.correct.items()}
    wrong = evaluation.table.columns["prediction"] != evaluation.table.columns["label"]
    found = [
        _shares(
            "Classification: misclassified images",
            ("this model's classifier", wrong),
            {"a linear classifier on pixels": errors["linear_classifier"]},
        ),
        _shares(
            "Retrieval: images whose nearest training image has another class",
            ("this model's embeddings", ~evaluation.nearest_correct),
            {"raw pixels": errors["pixels_1nn"], "PCA of the pixels": errors["pca_1nn"]},
        ),
    ]
    if "mse" in figures and "pca_mse" in baselines.figures:
        found.append(_reconstruction(figures, baselines.figures))
    return found


def _compare(figures: Mapping[str, Any], count: int) -> Panel:
    return Panel(
        "Compare",
        "metric learning and retrieval",
        percent(figures["precision_at_1"], of=count),
        _bounds(figures, "precision_at_1", count),
        "precision@1: the nearest neighbour has the same class",
        "Neighbours are the other images of the split, by the cosine distance of embeddings.",
        _details(figures, "map_at_r", "recall_at_10", "nearest_neighbour_accuracy", "ami"),
    )


def _name(evaluation: Evaluation) -> Panel:
    count, accuracy = len(evaluation.split), evaluation.figures["accuracy"]
    wrong = round(count * (1 - accuracy))
    commonest = float(evaluation.outputs.labels.bincount().max()) / count
    return Panel(
        "Name",
        "classification",
        percent(accuracy, of=count),
        _bounds(evaluation.figures, "accuracy", count),
        "accuracy: classified correctly",
        f"{wrong:,} of {count:,} {SPLIT_NAMES[evaluation.split_name]} images are misclassified. The most frequent "
        f"class alone gives an accuracy of {percent(commonest)}.",
        _details(evaluation.figures, "macro_f1", "ece", "nll"),
    )


def _repaint(figures: Mapping[str, Any], evaluation: Evaluation) -> Panel:
    dimensions = len(figures["kl_per_dimension"])
    low, high = figures["intervals"]["mse"]
    return Panel(
        "Repaint",
        "reconstruction",
        three_digits(math.sqrt(figures["mse"])),
        f"{three_digits(math.sqrt(max(low, 0)))} to {three_digits(math.sqrt(max(high, 0)))}",
        "root mean squared error of a pixel in [0, 1]",
        f"The {math.prod(evaluation.image_shape):,} values of an image are reconstructed from {dimensions} latent "
        "dimensions.",
        _details(figures, "psnr", "ssim", "kl_divergence", "active_units"),
    )


def _bounds(figures: Mapping[str, Any], name: str, count: int) -> str:
    if name not in figures["intervals"]:
        return ""
    low, high = figures["intervals"][name]
    return percent_range(Interval(figures[name], low, high), of=count)


def _details(figures: Mapping[str, Any], *names: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (DEFINITIONS[name].title, shown(figures[name]), DEFINITIONS[name].meaning) for name in names if name in figures
    )


Errors = NDArray[np.bool_]


def _shares(title: str, ours: tuple[str, Errors], others: Mapping[str, Errors]) -> Comparison:
    """Compare shares of errors with the best of other methods, by McNemar's test and an interval of their ratio."""
    (name, wrong), images = ours, len(ours[1])
    rival, theirs = min(others.items(), key=lambda item: int(item[1].sum()))
    share, least = float(wrong.mean()), float(theirs.mean())
    p_value = mcnemar(int((theirs & ~wrong).sum()), int((wrong & ~theirs).sum()))
    if p_value > 1 - LEVEL:
        verdict = f"No clear difference from {rival} on {images:,} images (McNemar's test: p = {p_value:.2g})."
    elif share > least:
        verdict = f"Worse than {rival}: {percent(share, of=images)} errors against {percent(least, of=images)}."
    elif share == 0:
        verdict = f"No errors; {rival}: {percent(least, of=images)}."
    else:
        best = f"{rival}, the best of the simple methods" if len(others) > 1 else rival
        verdict = f"{_fewer(ratio_of_errors(wrong, theirs))} than {best}."
    values = {other: float(errors.mean()) for other, errors in others.items()}
    return Comparison(title, _bars((name, share), values, lambda value: percent(value, of=images)), verdict)


def _fewer(ratio: Interval) -> str:
    if ratio.estimate >= CLEARLY:
        bounds = (ratio.estimate, ratio.low, ratio.high)
        factor, low, high = (f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in bounds)
        return f"{factor} times fewer errors (95% interval: {low} to {high})"
    less, least, most = (100 * (1 - 1 / value) for value in (ratio.estimate, ratio.low, ratio.high))
    return f"{less:.0f}% fewer errors (95% interval: {least:.0f}% to {most:.0f}%)"


def _reconstruction(figures: Mapping[str, Any], baselines: Mapping[str, float]) -> Comparison:
    ours = ("this model", figures["mse"])
    others = {f"PCA with as many dimensions ({len(figures['kl_per_dimension'])})": baselines["pca_mse"]}
    low, high = figures["intervals"]["mse"]
    pca = baselines["pca_mse"]
    ratio = figures["mse"] / pca if pca else math.inf
    if low <= pca <= high:
        verdict = "No clear difference from PCA on these images."
    elif ratio < 1:
        verdict = (
            f"This model reconstructs better: its error is {100 * (1 - ratio):.0f}% smaller (95% interval: "
            f"{100 * (1 - high / pca):.0f}% to {100 * (1 - low / pca):.0f}%)."
        )
    else:
        verdict = (
            f"PCA reconstructs better: this model's error is {ratio:.1f} times as large. The dimensions of PCA serve "
            "the reconstruction alone; those of this model serve retrieval and classification too."
        )
    return Comparison("Reconstruction: mean squared error of a pixel", _bars(ours, others, three_digits), verdict)


def _bars(ours: tuple[str, float], others: Mapping[str, float], write: Callable[[float], str]) -> tuple[Bar, ...]:
    values = {ours[0]: ours[1], **others}
    longest = max(values.values()) or 1.0
    ordered = sorted(values.items(), key=lambda item: item[1])
    return tuple(
        Bar(title[0].upper() + title[1:], value, write(value), value / longest, title == ours[0])
        for title, value in ordered
    )
