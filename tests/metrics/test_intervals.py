"""Intervals against textbook formulas, naive leave-one-out, exact coverage and simulated coverage."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score
from torchmetrics.functional.classification import binary_calibration_error

from triptych.metrics.intervals import (
    Interval,
    Statistic,
    calibration_error,
    difference,
    interval,
    macro_f1,
    mcnemar,
    mean,
    ratio_of_errors,
    wilson,
)

labellings = st.integers(2, 40).flatmap(
    lambda count: st.tuples(*[st.lists(st.integers(0, 4), min_size=count, max_size=count)] * 2)
)


@settings(deadline=None)
@given(labellings)
def test_macro_f1_is_that_of_scikit_learn(pair):
    labels, predictions = map(np.array, pair)
    expected = f1_score(labels, predictions, average="macro", zero_division=0)
    assert macro_f1(labels, predictions).value == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(labellings)
def test_influences_of_macro_f1_are_those_of_the_jackknife(pair):
    labels, predictions = map(np.array, pair)
    count = len(labels)
    without = np.array(
        [
            f1_score(np.delete(labels, one), np.delete(predictions, one), average="macro", zero_division=0)
            for one in range(count)
        ]
    )
    expected = (count - 1) / count * np.square(without - without.mean()).sum()
    assert macro_f1(labels, predictions).variance == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(-10, 10), st.just(np.nan), st.just(np.inf)), min_size=1))
def test_the_mean_is_over_the_images_that_have_a_value(values):
    finite = [value for value in values if np.isfinite(value)]
    expected = np.mean(finite) if finite else np.nan
    assert mean(values).value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    values = np.random.default_rng(0).normal(5.0, 2.0, size=300)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    found = interval(mean(values))
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-4)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (3, 10), (359, 360), (360, 360), (1, 1)])
def test_the_interval_of_a_share_is_that_of_wilson(right, count):
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    found = wilson(right / count, count)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    plain = interval(mean(np.arange(count) < right, is_share=True))
    few = [bound for bound, images in (("low", right), ("high", count - right)) if 0 < images <= 3]
    for bound in {"low", "high"} - set(few):
        assert getattr(plain, bound) == pytest.approx(getattr(expected, bound), abs=1e-9)


@pytest.mark.parametrize(("errors", "poisson"), [(1, 0.0513), (2, 0.3554), (3, 0.8177)])
def test_few_errors_are_bounded_as_a_poisson_number(errors, poisson):
    """Brown, Cai & DasGupta 2001: the 5 % quantile of chi-squared with twice as many degrees of freedom, halved."""
    found = interval(mean(np.arange(1000) >= errors, is_share=True))
    bounds = (wilson(1 - errors / 1000, 1000).high, 1 - poisson / 1000)
    assert found.high == pytest.approx(max(bounds), abs=1e-6)
    mirrored = interval(mean(np.arange(1000) < errors, is_share=True))
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_an_accuracy_of_one_is_not_certain():
    assert interval(mean(np.ones(360), is_share=True)).low == pytest.approx(0.9894, abs=1e-4)


@pytest.mark.parametrize("count", [200, 360, 1000, 2000])
def test_intervals_of_accuracies_cover_the_truth_as_often_as_they_promise(count):
    """Exact coverage, from the binomial distribution, averaged over accuracies from .5 to .997."""
    accuracies = np.linspace(0.5, 0.997, 60)
    bounds = [interval(mean(np.arange(count) < right, is_share=True)) for right in range(count + 1)]
    covers = np.array([[one.low <= accuracy <= one.high for one in bounds] for accuracy in accuracies])
    coverage = (covers * stats.binom.pmf(np.arange(count + 1), count, accuracies[:, None])).sum(1)
    assert 0.93 <= coverage.mean() <= 0.97
    assert coverage.min() > 0.92


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_equal_models_are_rarely_called_different(share):
    """Paired differences of two equally accurate models, that disagree on a share of 360 images."""
    generator = np.random.default_rng(0)
    wrongly = []
    for _ in range(1500):
        who = generator.choice(3, p=[1 - share, share / 2, share / 2], size=360)
        found = difference(mean(who != 1, is_share=True), mean(who != 2, is_share=True), paired=True)
        wrongly.append(not found.low <= 0 <= found.high)
    assert np.mean(wrongly) < 0.065


@pytest.mark.parametrize(("count", "temperature"), [(200, 3.0), (360, 1.0), (1000, 1.5)])
def test_the_interval_of_the_calibration_error_covers_its_mean_over_samples(count, temperature):
    generator, found = np.random.default_rng(0), []
    for _ in range(300):
        probability = np.clip(generator.beta(8, 2, size=count), 0.5, 0.999)
        odds = probability / (1 - probability)
        confidence = 1 / (1 + odds**-temperature)
        found.append(interval(calibration_error(confidence, generator.random(count) < probability)))
    truth = np.mean([one.estimate for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.93


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=50))
def test_the_calibration_error_is_that_of_torchmetrics(pairs):
    confidence, correct = map(np.array, zip(*pairs, strict=True))
    expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct).int(), n_bins=15)
    assert calibration_error(confidence, correct).value == pytest.approx(float(expected), abs=1e-6)


def test_few_differences_are_no_certainty():
    a = np.ones(360, bool)
    b = a.copy()
    b[:2] = False
    found = difference(mean(b, is_share=True), mean(a, is_share=True), paired=True)
    assert found.low < 0 < found.estimate < found.high
    alike = difference(mean(a, is_share=True), mean(a, is_share=True), paired=True)
    assert alike.low < 0 < alike.high


def test_the_paired_difference_of_similar_models_is_surer_than_the_unpaired():
    generator = np.random.default_rng(5)
    hardness = generator.random(500)
    a, b = (mean(hardness + 0.1 * generator.standard_normal(500)) for _ in range(2))
    paired, unpaired = (difference(a, b, paired=is_paired) for is_paired in (True, False))
    # Of the variance 2 (1/12 + 0.01) only the part 2 · 0.01 is not shared.
    widths = [one.high - one.low for one in (paired, unpaired)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(0.01 / (1 / 12 + 0.01)), rel=0.15)


def test_shares_of_other_images_are_bounded_as_by_newcombe():
    """Newcombe 1998, table II, example (a): 56/70 - 48/80 = .20, from .0524 to .3339 by method 10."""
    a, b = (mean(np.arange(count) < right, is_share=True) for right, count in ((48, 80), (56, 70)))
    found = difference(a, b, paired=False)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=2e-3)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected)


def test_a_ratio_on_few_errors_is_known_to_be_vague():
    count = np.arange(360)
    found = ratio_of_errors(count < 3, (count >= 200) & (count < 291))
    assert found.estimate == pytest.approx(91 / 3)
    assert found.low < 12
    assert found.high > 80
    assert ratio_of_errors(count < 0, count < 9) == Interval(np.inf, 0.0, np.inf)


def test_a_share_has_the_interval_of_as_many_images_as_its_variance_is_worth():
    influences = np.full(4, np.sqrt(0.9 * 0.1 / 50 / 4))
    found, expected = interval(Statistic(0.9, influences, 200, is_share=True)), wilson(0.9, 50)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_share_of_images_is_not_surer_than_that_of_as_many_independent_images():
    """Where nearly all images are right, groups of images rarely show how much their share varies."""
    influences = np.full(4, 1e-6)
    found = interval(Statistic(0.99, influences, 200, is_share=True, counts_images=True))
    expected = interval(mean(np.arange(200) >= 2, is_share=True))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.high > 0.998


def test_the_interval_of_a_calibration_error_lies_between_zero_and_one():
    found = interval(calibration_error([0.9, 0.9], [True, False]))
    assert (found.low, found.estimate, found.high) == pytest.approx((0.0, 0.4, 1.0))
