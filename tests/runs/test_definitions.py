"""A short name means one metric or none, and a metric is sorted the right way round."""

import pytest

from triptych.runs.definitions import MAIN_METRICS, higher_is_better, resolve_metric

KNOWN = ["test.accuracy", "val.accuracy", "val.loss", "test.map_at_r", "train.ece", "val.ece", "epochs"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("accuracy", "test.accuracy"),
        ("val.accuracy", "val.accuracy"),
        ("loss", "val.loss"),
        ("map_at_r", "test.map_at_r"),
        ("epochs", "epochs"),
    ],
)
def test_a_name_means_one_metric(name, meant):
    assert resolve_metric(name, KNOWN) == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acuracy", "Did you mean accuracy?"),
        ("ACCURACY", "Did you mean accuracy?"),
        ("test.loss", r"Did you mean val\.loss\?"),
        ("ece", r"train\.ece or val\.ece"),
        ("zzz", "There are accuracy, loss, map_at_r, ece, epochs"),
        ("racy", "expected a metric that one of the runs has, got 'racy'"),
        ("", "expected a metric"),
    ],
)
def test_another_name_is_rejected_with_a_hint(name, said):
    with pytest.raises(ValueError, match=said):
        resolve_metric(name, KNOWN)


def test_without_any_metric_the_hint_is_how_to_get_them():
    with pytest.raises(ValueError, match="triptych evaluate"):
        resolve_metric("accuracy", [])


@pytest.mark.parametrize("name", ["test.accuracy", "val.knn_accuracy", "macro_f1", "test.recall_at_1", "psnr"])
def test_more_of_these_is_better(name):
    assert higher_is_better(name) is True


@pytest.mark.parametrize("name", ["test.loss", "val.triplet", "ece", "nll", "mse", "train_seconds"])
def test_less_of_these_is_better(name):
    assert higher_is_better(name) is False


@pytest.mark.parametrize("name", ["test.kl", "epochs", "test.active_units", "inaccuracy"])
def test_of_others_nothing_is_claimed(name):
    assert higher_is_better(name) is None


def test_the_main_metrics_have_a_better_end():
    assert None not in map(higher_is_better, MAIN_METRICS)
