"""Definitions of the metrics in metrics.json: for tables, the report and comparisons of runs."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Literal, NamedTuple

from triptych.config.loss_terms import LOSS_TERMS


class Definition(NamedTuple):
    """Description of a metric."""

    title: str
    """Its display name."""
    meaning: str
    """What it measures, and its unit."""
    better: Literal["higher", "lower", ""]
    """Whether higher or lower is better; empty if neither is."""


DEFINITIONS: dict[str, Definition] = {
    "accuracy": Definition("accuracy", "share of images whose class is predicted", "higher"),
    "macro_f1": Definition("macro F1", "F1 of each class, averaged over classes", "higher"),
    "nll": Definition("negative log-likelihood", "of the true class, in nats an image", "lower"),
    "ece": Definition("calibration error", "gap between confidence and accuracy, over 15 bins", "lower"),
    "nearest_neighbour_accuracy": Definition("1-NN accuracy", "class of the nearest training embedding", "higher"),
    "knn_accuracy": Definition("5-NN accuracy", "vote of the five nearest training embeddings", "higher"),
    "precision_at_1": Definition("precision@1", "nearest other image of the split is of the class", "higher"),
    "recall_at_1": Definition("recall@1", "equal to precision@1", "higher"),
    "recall_at_5": Definition("recall@5", "one of the nearest five is of the class", "higher"),
    "recall_at_10": Definition("recall@10", "one of the nearest ten is of the class", "higher"),
    "r_precision": Definition("R-precision", "share of the class among the R nearest, R its other images", "higher"),
    "map_at_r": Definition("MAP@R", "mean average precision among the R nearest", "higher"),
    "mrr": Definition("mean reciprocal rank", "one over the rank of the first image of the class", "higher"),
    "nmi": Definition("NMI", "agreement of k-means clusters with classes", "higher"),
    "ami": Definition("AMI", "the same, corrected for chance", "higher"),
    "silhouette": Definition("silhouette", "distance to the own class against the next, -1 to 1", "higher"),
    "mse": Definition("reconstruction MSE", "squared error of a pixel in [0, 1]", "lower"),
    "psnr": Definition("PSNR", "peak signal to noise, in dB, averaged over images", "higher"),
    "ssim": Definition("SSIM", "structural similarity, at most 1", "higher"),
    "elbo": Definition("ELBO", "bound on the log-likelihood, in nats an image", "higher"),
    "kl_divergence": Definition("KL divergence", "of the latent from the prior, in nats an image", ""),
    "active_units": Definition("active units", "latent dimensions that vary with the image", ""),
    "alignment": Definition("alignment", "mean squared distance within a class", "lower"),
    "uniformity": Definition("uniformity", "evenness on the sphere, lower is more even", ""),
    "effective_rank": Definition("effective rank", "dimensions that the embeddings fill", ""),
    "spread": Definition("spread", "of embeddings on the sphere: 0 is a point, 1 is even", ""),
    "trustworthiness": Definition("map's trustworthiness", "share of true neighbours among those on the map", "higher"),
    "loss": Definition("loss", "the weighted sum that training minimises", "lower"),
    **{name: Definition(term.title, term.meaning, term.better) for name, term in LOSS_TERMS.items()},
}
"""In the order in which tables show them."""


MAIN_METRICS = (
    "test.accuracy",
    "val.accuracy",
    "test.map_at_r",
    "holdout.map_at_r",
    "test.macro_f1",
    "test.precision_at_1",
    "test.recall_at_5",
    "test.knn_accuracy",
    "test.nmi",
    "test.ece",
    "test.psnr",
    "test.loss",
)
"""Metrics that a table shows first, as many as fit."""


def higher_is_better(name: str) -> bool | None:
    """Return whether higher is better; None if that depends on the use, or is unknown.

    Example:
        >>> higher_is_better("test.knn_accuracy"), higher_is_better("val.loss"), higher_is_better("test.kl")
        (True, False, None)
    """
    if name == "train_seconds":
        return False
    definition = DEFINITIONS.get(name.rpartition(".")[2])
    return definition.better == "higher" if definition and definition.better else None


def resolve_metric(name: str, known: Collection[str]) -> str:
    """Resolve a short name to a dotted name; the test split takes precedence.

    Raises:
        ValueError: No metric in `known` has this name, or several have.

    Example:
        >>> resolve_metric("accuracy", ["val.accuracy", "test.accuracy"])
        'test.accuracy'
    """
    ending = [metric for metric in known if metric == name or metric.endswith(f".{name}")]
    for first in (name, f"test.{name}"):
        if first in ending:
            return first
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise ValueError(f"expected the name of one metric, got {name!r}, which may be {' or '.join(sorted(ending))}")
    short = {metric.rpartition(".")[2]: None for metric in known}
    elsewhere = [metric for metric in known if metric.rpartition(".")[2] == name.rpartition(".")[2]]
    if close := elsewhere or get_close_matches(name.lower(), list(known if "." in name else short), n=3):
        hint = f"Did you mean {' or '.join(close)}?"
    else:
        hint = f"There are {', '.join(short)}." if short else "None was measured yet: see `triptych evaluate`."
    raise ValueError(f"expected a metric that one of the runs has, got {name!r}. {hint}")
