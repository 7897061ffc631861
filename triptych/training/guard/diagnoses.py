"""Diagnoses of a run from its signs, one line with cause and remedy, for the collapse guard."""

import math
from collections.abc import Callable
from typing import NamedTuple

from triptych.training.guard.signs import Signs, Task

POINT_SPREAD = 0.05
"""Spread of the embeddings below which they count as one point: a mean cosine similarity of 0.9975. Untrained models
have 0.45 and more, healthy ones 0.86 and more from the first epoch on (`benchmarks/collapse_guard.py`), collapsed ones
on the digits 0.02 and less."""

POINT_SHARE_OF_MARGIN = 0.25
"""The same for small margins. Classes that are a margin apart need a spread of at least half the margin: the root mean
square of all distances is the spread times √2, and at least half of the pairs are of different classes."""

LINE_RANK = 1.5
"""Effective rank of the embeddings below which they count as lying on a line."""

CLASSES_BEYOND_A_LINE = 4
"""From this number of classes, separated classes need more than a line: K points around their mean span K - 1
dimensions. Two or three classes can be near a line without a collapse."""

KL_SHARE = 2 / 3
"""Share of the KL divergence in the gradient above which it is twice as strong as all other losses together. In an
equilibrium no share exceeds half of the sum, so the posterior is then approaching the prior. On the digits, a run with
0.61 after an epoch kept 2.5 nats and learned; a run with 0.79 kept 0.15 nats and did not."""

KL_OF_A_BEGINNER = 1.0
"""Nats per latent dimension: an untrained model has 1.6, and loses them if no loss counteracts the KL divergence. Above
this value the latent is not collapsing, whatever the gradient."""

SEPARATION_BY_CHANCE = 0.05
"""Share of the embeddings' variance between the classes that can be due to chance or to the images themselves:
untrained models have 0.05 on CIFAR-10 and more elsewhere."""

AT_THE_MARGIN = 0.05
"""Relative difference between the triplet loss and its value for equal distances."""

NEARLY_ALL = 0.95
"""Share of active triplets if none of them is learned."""

NEARLY_NONE = 1e-3
"""Share of active triplets below which the triplet loss has no effect; a run that fits its images comes close."""

STEPS_TO_LEARN = 100
"""Number of steps before a run can be diagnosed to learn nothing."""

STEPS_AT_CHANCE = 200
"""Number of steps after which chance accuracy on validation images, or embeddings without any separation of classes,
are reported: a warning and no collapse, because training with many classes can take longer."""

MOST_BATCHES = 0.5
"""Tolerated share of batches without any triplet."""

DROWNING_SHARE = 0.99
"""Share of a loss in the gradient above which the other losses have no effect on the model."""

UNLEARNED_CLASSES = 0.5
"""Cross-entropy in units of ln K (chance level) above which classification is far from learned."""

UNLEARNED_TRIPLETS = 0.25
"""Share of active triplets above which the triplets are far from learned."""

EMBEDDING_LOSSES = ("triplet", "classification")
"""The terms that train the embeddings."""

UNHEARD_SHARE = 1e-4
"""Share in the gradient below which a loss has practically no effect. Applied only to the reconstruction: the gradients
of the other losses also vanish when they are minimised."""


class Diagnosis(NamedTuple):
    """A problem of a run."""

    name: str
    """An identifier for programs."""
    what: str
    """One line for users: the observation with numbers, and what to try."""
    is_collapse: bool
    """Whether to stop the run; otherwise only a part of it has no effect."""


def diagnose(signs: Signs, task: Task) -> Diagnosis | None:
    """Return the diagnosis, or None for a healthy run.

    The rules are ordered from causes to consequences, and the first that applies is returned: if the embeddings are one
    point because the latent has no information, this is one collapse, not two. A sign that is NaN triggers no rule.
    """
    for rule in _RULES:
        if (diagnosis := rule(signs, task)) is not None:
            return diagnosis
    return None


def _posterior_collapse(signs: Signs, task: Task) -> Diagnosis | None:
    latent, share = signs.latent, signs.gradient_shares.get("kl", 0.0)
    if latent is None:
        return None
    remedy = f"try a lower kl_weight (now {task.weights['kl']:g}), kl_warmup_epochs or kl_free_bits"
    nats = f"{latent.kl:.1f} nats in {latent.dimensions} dimensions, {latent.active_units} active units"
    # KL bounds the information of the latent about its image (Hoffman & Johnson 2016); a class needs ln K nats.
    if latent.kl < math.log(task.num_classes):
        too_little = f"too little to separate {task.num_classes} classes"
        what = f"the latent's posterior has collapsed to the prior: {nats}, {too_little}; {remedy}"
    elif share > KL_SHARE and latent.kl_per_dimension < KL_OF_A_BEGINNER:
        pulled = f"the KL divergence is {_percent(share)} of the gradient on the latent"
        what = f"the latent's posterior is collapsing to the prior: {pulled}, which has {nats} left; {remedy}"
    else:
        return None
    return Diagnosis("posterior_collapse", what, is_collapse=True)


def _dead_latent(signs: Signs, task: Task) -> Diagnosis | None:  # noqa: ARG001 # all rules have the same signature
    latent = signs.latent
    if latent is None or latent.active_units:
        return None
    what = (
        f"the latent has collapsed, it is the same for every image: 0 of {latent.dimensions} units are active, at "
        f"{latent.kl_per_dimension:.1f} nats per dimension; try a lower learning rate"
    )
    return Diagnosis("dead_latent", what, is_collapse=True)


def _point(signs: Signs, task: Task) -> Diagnosis | None:
    limit = POINT_SPREAD if task.margin is None else min(POINT_SPREAD, POINT_SHARE_OF_MARGIN * task.margin)
    if not (_trains_embeddings(task) and signs.spread < limit):
        return None
    what = (
        f"embeddings have collapsed to a point: spread {signs.spread:.2g} of 1{_triplets(signs, task)}; "
        f"try {_gentler(signs, task)}"
    )
    return Diagnosis("point_collapse", what, is_collapse=True)


def _line(signs: Signs, task: Task) -> Diagnosis | None:
    enough = task.num_classes >= CLASSES_BEYOND_A_LINE
    if not (_trains_embeddings(task) and enough and signs.effective_rank < LINE_RANK):
        return None
    what = (
        f"embeddings have collapsed to a line: effective rank {signs.effective_rank:.2f} for {task.num_classes} "
        f"classes{_triplets(signs, task)}; try {_gentler(signs, task)}"
    )
    return Diagnosis("line_collapse", what, is_collapse=True)


def _no_triplets(signs: Signs, task: Task) -> Diagnosis | None:
    if not (task.trains("triplet") and signs.without_triplets > MOST_BATCHES):
        return None
    what = (
        f"the triplet loss has nothing to compare: {_percent(signs.without_triplets)} of batches hold no two images "
        "of one class beside another class; try a larger batch_size or triplet_mining: random"
    )
    return Diagnosis("no_triplets", what, is_collapse=False)


def _nothing_learned(signs: Signs, task: Task) -> Diagnosis | None:
    if not (task.trains("triplet") and signs.steps >= STEPS_TO_LEARN and signs.separation < SEPARATION_BY_CHANCE):
        return None
    off_limit = abs(signs.losses["triplet"] / task.triplet_limit - 1)
    if signs.active_fraction > NEARLY_ALL and off_limit < AT_THE_MARGIN:
        what = f"the triplet loss is stuck at {'ln 2' if task.margin is None else 'its margin'}"
        remedy = "labels that fit the images, and another learning rate"
        remedy = f"triplet_mining: semihard, {remedy}" if task.mining == "hard" and task.margin else remedy
    elif signs.active_fraction < NEARLY_NONE:
        what, remedy = "the triplet loss teaches nothing", "triplet_mining: all or a larger margin"
    else:
        return None
    between = f"{_percent(signs.separation)} of the embeddings' variance lies between the classes"
    return Diagnosis("nothing_learned", f"{what}: {between}{_triplets(signs, task)}; try {remedy}", is_collapse=True)


def _at_chance(signs: Signs, task: Task) -> Diagnosis | None:
    if not (_trains_embeddings(task) and signs.steps >= STEPS_AT_CHANCE):
        return None
    if task.trains("classification"):
        guesses = signs.accuracy <= task.chance
        most = max(SEPARATION_BY_CHANCE, signs.separation_by_chance)
        seen = f"validation accuracy {signs.accuracy:.3f} is that of guessing, and "
    else:  # only the embeddings themselves show it
        guesses, most, seen = True, SEPARATION_BY_CHANCE, ""
    if not (guesses and signs.separation < most):
        return None
    what = (
        f"nothing is learned so far: {seen}{_percent(max(signs.separation, 0.0))} of the embeddings' variance lies "
        f"between the classes{_triplets(signs, task)}; try labels that fit the images, and another learning rate"
    )
    return Diagnosis("at_chance", what, is_collapse=False)


def _drowned(signs: Signs, task: Task) -> Diagnosis | None:
    loudest, share = _loudest(signs)
    if share < DROWNING_SHARE:
        return None
    wanting = {
        "classification": signs.losses["classification"] > UNLEARNED_CLASSES * math.log(task.num_classes),
        "triplet": signs.active_fraction > UNLEARNED_TRIPLETS,
    }
    drowned = [name for name, wants in wanting.items() if wants and name != loudest and task.trains(name)]
    if not drowned:
        return None
    # In simple mode the triplet loss has no weight of its own.
    louder = loudest == "triplet" and not task.is_multitask
    remedy = _weight("classification", task, "higher") if louder else _weight(loudest, task, "lower")
    what = (
        f"{loudest} drowns {' and '.join(drowned)}: it is {_percent(share)} of the gradient on the "
        f"{'latent' if task.is_multitask else 'embedding'}; try {remedy}"
    )
    return Diagnosis("drowned_loss", what, is_collapse=False)


def _unheard(signs: Signs, task: Task) -> Diagnosis | None:
    share = signs.gradient_shares.get("reconstruction", math.nan)
    if not (signs.steps >= STEPS_TO_LEARN and share < UNHEARD_SHARE):
        return None
    remedy = f"{_weight('reconstruction', task, 'higher')}, or 0 if that is meant"
    what = f"reconstruction has no effect on the latent: it is {_percent(share)} of the gradient there; try {remedy}"
    return Diagnosis("unheard_loss", what, is_collapse=False)


def _trains_embeddings(task: Task) -> bool:
    return any(task.trains(term) for term in EMBEDDING_LOSSES)


def _triplets(signs: Signs, task: Task) -> str:
    """Return the state of the triplet loss, if it is trained."""
    if not task.trains("triplet"):
        return ""
    limit = "ln 2 = 0.693" if task.margin is None else f"margin {task.margin:g}"
    active = "" if math.isnan(signs.active_fraction) else f", {_percent(signs.active_fraction)} of the triplets active"
    return f", triplet loss {signs.losses['triplet']:.3f} ({limit}){active}"


def _gentler(signs: Signs, task: Task) -> str:
    """Return a remedy that keeps the embeddings apart."""
    loudest, share = _loudest(signs)
    if loudest not in EMBEDDING_LOSSES and share >= DROWNING_SHARE:
        return _weight(loudest, task, "lower")
    if not (task.trains("triplet") and task.mining == "hard"):
        return "a lower learning rate"
    return f"triplet_mining: {'all' if task.margin is None else 'semihard'} or a lower learning rate"


def _loudest(signs: Signs) -> tuple[str, float]:
    """Return the loss with the largest gradient, and its share."""
    return max(signs.gradient_shares.items(), key=lambda item: item[1], default=("", 0.0))


def _weight(term: str, task: Task, change: str) -> str:
    key = f"{term}_weight" if task.is_multitask else "classifier_weight"
    return f"a {change} {key} (now {task.weights[term]:g})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%" if share >= 1e-5 else "less than 0.001%"


_RULES: tuple[Callable[[Signs, Task], Diagnosis | None], ...] = (
    _posterior_collapse,
    _dead_latent,
    _point,
    _line,
    _no_triplets,
    _nothing_learned,
    _at_chance,
    _drowned,
    _unheard,
)
