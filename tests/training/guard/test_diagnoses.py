import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.training.guard.diagnoses import Diagnosis, diagnose
from triptych.training.guard.signs import LatentSigns, Signs, Task

TASK = Task(
    num_classes=10,
    margin=0.2,
    mining="semihard",
    weights={"triplet": 1.0, "classification": 1.0, "reconstruction": 10.0, "kl": 3e-4},
    is_multitask=True,
)
SIMPLE = replace(TASK, weights={"triplet": 1.0, "classification": 1.0}, is_multitask=False)
HARD = replace(SIMPLE, mining="hard")
SOFT = replace(HARD, margin=None)
SHARES = {"triplet": 0.35, "classification": 0.55, "reconstruction": 0.09, "kl": 0.01}

# As they were measured after two epochs on the digits.
HEALTHY = Signs(
    steps=200,
    active_fraction=0.1,
    without_triplets=0.0,
    losses={"triplet": 0.094, "classification": 0.5, "reconstruction": 0.05, "kl": 130.0},
    gradient_shares=SHARES,
    spread=0.93,
    effective_rank=15.3,
    separation=0.75,
    latent=LatentSigns(kl_per_dimension=8.0, active_units=16, dimensions=16),
    accuracy=0.9,
)
# And of a run in simple mode with hard mining and far too high a rate.
COLLAPSED = replace(
    HEALTHY,
    active_fraction=1.0,
    losses={"triplet": 0.2005, "classification": 2.3},
    gradient_shares={"triplet": 0.98, "classification": 0.02},
    spread=0.0003,
    effective_rank=8.2,
    separation=0.15,
    latent=None,
)


def losses(**changes: float) -> dict[str, float]:
    return {**HEALTHY.losses, **changes}


def latent(kl: float, *, active: int = 16) -> LatentSigns:
    return LatentSigns(kl_per_dimension=kl, active_units=active, dimensions=16)


def diagnosed(signs: Signs, task: Task = TASK) -> Diagnosis:
    diagnosis = diagnose(signs, task)
    assert diagnosis is not None
    assert "\n" not in diagnosis.what
    assert "; try " in diagnosis.what
    return diagnosis


def test_a_healthy_run_is_left_in_peace() -> None:
    assert diagnose(HEALTHY, TASK) is None
    simple = replace(HEALTHY, latent=None, gradient_shares={"triplet": 0.4, "classification": 0.6})
    assert diagnose(simple, SIMPLE) is None


@given(
    active=st.floats(0.002, 0.5),
    spread=st.floats(0.2, 1.0),
    rank=st.floats(2.0, 120.0),
    separation=st.floats(0.06, 1.0),
    kl=st.floats(1.7, 50.0),
    triplet=st.floats(0.0, 0.5),
    classification=st.floats(0.0, 1.1),
    kl_share=st.floats(0.0, 0.3),
)
def test_no_alarm_over_all_that_was_ever_measured_in_healthy_runs(
    active: float,
    spread: float,
    rank: float,
    separation: float,
    kl: float,
    triplet: float,
    classification: float,
    kl_share: float,
) -> None:
    signs = replace(
        HEALTHY,
        active_fraction=active,
        spread=spread,
        effective_rank=rank,
        separation=separation,
        latent=latent(kl),
        losses=losses(triplet=triplet, classification=classification),
        gradient_shares={**SHARES, "kl": kl_share},
    )

    assert diagnose(signs, TASK) is None


# Each disease


def test_embeddings_at_one_point_are_named_with_the_triplet_loss_and_a_remedy() -> None:
    diagnosis = diagnosed(COLLAPSED, HARD)

    assert (diagnosis.name, diagnosis.is_collapse) == ("point_collapse", True)
    assert diagnosis.what == (
        "embeddings have collapsed to a point: spread 0.0003 of 1, triplet loss 0.201 (margin 0.2), 100% of the "
        "triplets active; try triplet_mining: semihard or a lower learning rate"
    )


def test_the_remedy_is_never_what_the_run_does_already() -> None:
    assert diagnosed(COLLAPSED, SIMPLE).what.endswith("; try a lower learning rate")
    soft = diagnosed(replace(COLLAPSED, losses=losses(triplet=0.694)), SOFT).what
    assert "triplet loss 0.694 (ln 2 = 0.693)" in soft
    assert soft.endswith("try triplet_mining: all or a lower learning rate")  # semihard needs a margin


def test_the_remedy_concerns_the_loss_that_drowns_the_embeddings() -> None:
    shares = {"triplet": 1e-4, "classification": 1e-4, "reconstruction": 0.9997, "kl": 1e-4}
    task = replace(TASK, mining="hard", weights={**TASK.weights, "reconstruction": 1e6})

    assert diagnosed(replace(HEALTHY, spread=0.04, gradient_shares=shares), task).what.endswith(
        "try a lower reconstruction_weight (now 1e+06)"
    )


def test_a_small_margin_needs_less_room() -> None:
    signs = replace(HEALTHY, spread=0.03)

    assert diagnosed(signs).name == "point_collapse"
    assert diagnose(signs, replace(TASK, margin=0.02)) is None
    assert diagnosed(replace(signs, spread=0.004), replace(TASK, margin=0.02)).name == "point_collapse"


def test_embeddings_on_a_line_are_named_where_the_classes_need_more() -> None:
    signs = replace(HEALTHY, effective_rank=1.2)

    diagnosis = diagnosed(signs)
    assert (diagnosis.name, diagnosis.is_collapse) == ("line_collapse", True)
    assert "collapsed to a line: effective rank 1.20 for 10 classes" in diagnosis.what
    assert diagnose(signs, replace(TASK, num_classes=2)) is None


def test_embeddings_that_no_loss_uses_may_be_anything() -> None:
    untrained = replace(TASK, weights={**TASK.weights, "triplet": 0.0, "classification": 0.0})

    assert diagnose(replace(HEALTHY, spread=0.01, effective_rank=1.1, separation=0.0), untrained) is None
    named = replace(TASK, weights={**TASK.weights, "triplet": 0.0})
    assert "triplet" not in diagnosed(replace(HEALTHY, spread=0.01), named).what


def test_a_posterior_that_cannot_separate_the_classes_has_collapsed() -> None:
    # ln 10 is 2.30 nats; 16 dimensions with 0.14 each have 2.24.
    signs = replace(HEALTHY, latent=latent(0.14, active=14))

    diagnosis = diagnosed(signs, replace(TASK, weights={**TASK.weights, "kl": 1.0}))
    assert (diagnosis.name, diagnosis.is_collapse) == ("posterior_collapse", True)
    assert diagnosis.what == (
        "the latent's posterior has collapsed to the prior: 2.2 nats in 16 dimensions, 14 active units, too little to "
        "separate 10 classes; try a lower kl_weight (now 1), kl_warmup_epochs or kl_free_bits"
    )
    assert diagnose(signs, replace(TASK, num_classes=9)) is None


def test_a_posterior_on_its_way_to_the_prior_is_named_before_it_is_there() -> None:
    pulled = {**dict.fromkeys(SHARES, 0.001), "kl": 0.997}
    signs = replace(HEALTHY, gradient_shares=pulled, latent=latent(0.58))

    diagnosis = diagnosed(signs)
    assert diagnosis.name == "posterior_collapse"
    assert "is collapsing to the prior: the KL divergence is 99.7% of the gradient on the latent" in diagnosis.what
    # A latent that has far more to say than an untrained one is not collapsing.
    assert diagnose(replace(signs, latent=latent(400.0)), TASK) is None


def test_a_latent_that_is_the_same_for_all_images_is_not_blamed_on_the_prior() -> None:
    diagnosis = diagnosed(replace(HEALTHY, latent=latent(3.0, active=0)))

    assert (diagnosis.name, diagnosis.is_collapse) == ("dead_latent", True)
    assert "kl_weight" not in diagnosis.what


def test_batches_without_triplets_are_named() -> None:
    signs = replace(HEALTHY, without_triplets=0.53, active_fraction=0.2)

    diagnosis = diagnosed(signs)
    assert (diagnosis.name, diagnosis.is_collapse) == ("no_triplets", False)
    assert "53% of batches" in diagnosis.what
    none_at_all = replace(signs, without_triplets=1.0, active_fraction=math.nan)
    assert "larger batch_size" in diagnosed(none_at_all).what
    assert diagnose(none_at_all, replace(TASK, weights={**TASK.weights, "triplet": 0.0})) is None


@pytest.mark.parametrize(
    ("task", "loss", "stuck_at"),
    [(TASK, 0.203, "its margin"), (replace(TASK, margin=None, mining="all"), 0.70, "ln 2")],
)
def test_a_triplet_loss_stuck_at_its_margin_is_named(task: Task, loss: float, stuck_at: str) -> None:
    signs = replace(HEALTHY, active_fraction=0.99, separation=0.01, losses=losses(triplet=loss))

    diagnosis = diagnosed(signs, task)
    assert (diagnosis.name, diagnosis.is_collapse) == ("nothing_learned", True)
    assert f"stuck at {stuck_at}: 1% of the embeddings' variance" in diagnosis.what
    # It may stand there for a while in a run that has just begun, or that learns the classes all the same.
    assert diagnose(replace(signs, steps=99), task) is None
    assert diagnose(replace(signs, separation=0.3), task) is None


def test_a_triplet_loss_without_active_triplets_is_named_unless_all_is_learned() -> None:
    starved = replace(HEALTHY, active_fraction=0.0, separation=-0.01, losses=losses(triplet=0.0))

    assert "teaches nothing: less than 0.001% of the embeddings' variance" in diagnosed(starved).what
    assert diagnose(replace(starved, separation=0.97), TASK) is None


def test_a_loss_that_drowns_the_others_is_named_with_its_weight() -> None:
    shares = {"triplet": 0.001, "classification": 0.004, "reconstruction": 0.995, "kl": 0.0}
    signs = replace(HEALTHY, gradient_shares=shares, losses=losses(classification=1.9), active_fraction=0.4)
    task = replace(TASK, weights={**TASK.weights, "reconstruction": 1e5})

    diagnosis = diagnosed(signs, task)
    assert (diagnosis.name, diagnosis.is_collapse) == ("drowned_loss", False)
    assert diagnosis.what == (
        "reconstruction drowns classification and triplet: it is 99.5% of the gradient on the latent; try a lower "
        "reconstruction_weight (now 100000)"
    )
    # Those that are satisfied have no gradient, and miss nothing.
    assert diagnose(replace(signs, losses=losses(classification=0.1), active_fraction=0.01), task) is None


def test_in_simple_mode_a_drowned_classification_gets_more_weight() -> None:
    task = replace(SIMPLE, weights={"triplet": 1.0, "classification": 0.001})
    shares = {"triplet": 0.998, "classification": 0.002}
    signs = replace(HEALTHY, latent=None, gradient_shares=shares, losses=losses(classification=1.9))

    assert diagnosed(signs, task).what == (
        "triplet drowns classification: it is 99.8% of the gradient on the embedding; try a higher classifier_weight "
        "(now 0.001)"
    )


def test_a_reconstruction_without_effect_on_the_latent_is_reported() -> None:
    signs = replace(HEALTHY, gradient_shares={**SHARES, "reconstruction": 3e-5})

    diagnosis = diagnosed(signs)
    assert (diagnosis.name, diagnosis.is_collapse) == ("unheard_loss", False)
    assert "no effect on the latent: it is 0.003% of the gradient" in diagnosis.what
    # The other losses vanish when they are satisfied, and a decoder needs some steps first.
    assert diagnose(replace(HEALTHY, gradient_shares={**SHARES, "classification": 1e-7}), TASK) is None
    assert diagnose(replace(signs, steps=50), TASK) is None


# Order and gaps


def test_of_cause_and_consequence_the_cause_is_named() -> None:
    both = replace(HEALTHY, latent=latent(0.01, active=0), spread=0.01, effective_rank=1.0, separation=0.0)

    assert diagnosed(both).name == "posterior_collapse"
    assert diagnosed(replace(both, latent=latent(3.0, active=0))).name == "dead_latent"
    assert diagnosed(replace(both, latent=latent(3.0))).name == "point_collapse"


@pytest.mark.parametrize("sign", ["active_fraction", "without_triplets", "spread", "effective_rank", "separation"])
def test_what_could_not_be_measured_raises_no_alarm(sign: str) -> None:
    unknown: dict[str, Any] = {sign: math.nan}
    assert diagnose(replace(HEALTHY, **unknown), TASK) is None
    assert diagnose(replace(HEALTHY, gradient_shares={}), TASK) is None


# Random labels

GUESSING = replace(HEALTHY, accuracy=0.1, separation=0.01, active_fraction=0.6, losses=losses(triplet=0.17))


@pytest.mark.parametrize(
    ("signs", "task"),
    [
        (GUESSING, TASK),
        (replace(GUESSING, latent=None), SIMPLE),
        (replace(GUESSING, separation=0.09, separation_by_chance=0.13), TASK),
        (replace(GUESSING, accuracy=0.9), replace(TASK, weights={**TASK.weights, "classification": 0.0})),
        (replace(GUESSING, separation=-0.02), replace(TASK, weights={**TASK.weights, "triplet": 0.0})),
    ],
    ids=["multi-task", "simple", "few images of many classes", "triplets alone", "classification alone"],
)
def test_random_labels_are_reported_whatever_is_trained(signs: Signs, task: Task) -> None:
    task = replace(task, chance=0.18)
    diagnosis = diagnosed(signs, task)
    assert (diagnosis.name, diagnosis.is_collapse) == ("at_chance", False)
    assert diagnose(replace(signs, steps=150), task) is None


def test_a_task_without_losses_of_the_embeddings_has_nothing_to_separate() -> None:
    weights = {**TASK.weights, "triplet": 0.0, "classification": 0.0}
    assert diagnose(GUESSING, replace(TASK, weights=weights)) is None
