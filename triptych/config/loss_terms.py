"""The losses that a run can minimise, a row each: config keys, training and tables follow from it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class LossTerm(NamedTuple):
    """A loss that can be trained with; `training.<name>_weight` is its weight."""

    loss: str
    """Its class, as "module:class"; imported when a run is built."""
    weight: float
    """The default of its weight; a loss of default weight 0 is computed only where it gets another one."""
    comment: str
    """The description of the weight's key in editors."""
    title: str
    """As tables call it."""
    meaning: str
    """What it measures, and its unit."""
    better: Literal["higher", "lower", ""] = "lower"
    """Which way is up: "higher", "lower", or "" where neither is."""
    settings: Mapping[str, str] = {}
    """Its constructor's arguments, by the keys of `training` that they are taken from."""
    needs_decoder: bool = False
    """Whether it is for the multi-task mode alone."""


LOSS_TERMS: dict[str, LossTerm] = {
    "triplet": LossTerm(
        "triptych.losses:BatchTripletLoss",
        1.0,
        "Multi-task mode: weight of the triplet loss.",
        title="triplet loss",
        meaning="over the triplets of a batch",
        settings={"margin": "margin", "mining": "triplet_mining"},
    ),
    "classification": LossTerm(
        "triptych.losses:ClassificationLoss",
        1.0,
        "Multi-task mode: weight of the classification loss.",
        title="cross-entropy",
        meaning="of the true class, with label smoothing, in nats",
        settings={"label_smoothing": "label_smoothing"},
    ),
    "reconstruction": LossTerm(
        "triptych.losses:ReconstructionLoss",
        0.3,
        "Multi-task mode: weight of the reconstruction loss, a mean over pixels.",
        title="reconstruction loss",
        meaning="squared error, cross-entropy or nats of a pixel",
        settings={"kind": "reconstruction_loss"},
        needs_decoder=True,
    ),
    "kl": LossTerm(
        "triptych.losses:KLDivergenceLoss",
        0.3,
        "Multi-task mode: weight of the KL divergence, a sum over latent dimensions. With the gaussian reconstruction "
        "loss it is divided by the number of pixel values of an image, over which that loss is a mean, so that equal "
        "weights give the evidence lower bound. With mse and bce a weight of about 0.001 is usual.",
        title="KL loss",
        meaning="the divergence as training counts it, after free bits, in nats",
        better="",
        settings={"free_bits": "kl_free_bits"},
        needs_decoder=True,
    ),
}
