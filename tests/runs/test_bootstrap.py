"""Intervals against naive resampling, textbook formulas, SciPy's bootstrap, and the coverage that they promise."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

import triptych.runs.bootstrap as module
from triptych.runs.bootstrap import Interval, bootstrap, interval, macro_f1, mean

labellings = st.integers(1, 40).flatmap(
    lambda count: st.tuples(*[st.lists(st.integers(0, 4), min_size=count, max_size=count)] * 2)
)


def naive_draws(count: int, resamples: int, seed: int) -> np.ndarray:
    """The images of every resample, as rows of positions."""
    return np.random.default_rng(seed).integers(count, size=(resamples, count))


def bounds(values: np.ndarray, **options) -> Interval:
    statistic = mean(values)
    return interval(statistic.value, bootstrap([statistic], **options)[:, 0])


@settings(deadline=None)
@given(labellings)
def test_macro_f1_is_that_of_scikit_learn(pair):
    labels, predictions = map(np.array, pair)
    expected = f1_score(labels, predictions, average="macro", zero_division=0)
    assert macro_f1(labels, predictions).value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(-10, 10), st.just(np.nan), st.just(np.inf)), min_size=1))
def test_the_mean_is_over_the_images_that_have_a_value(values):
    finite = [value for value in values if np.isfinite(value)]
    expected = np.mean(finite) if finite else np.nan
    assert mean(values).value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_worked_example():
    # Images 0, 1: F1 of class 0 is 2·1 / (1 + 2), of class 1 is 2·1 / (2 + 1).
    assert macro_f1(np.array([0, 1, 1]), np.array([0, 0, 1])).value == pytest.approx(2 / 3)
    # Percentiles of 0, 1, ..., 1000 that leave 25 below and 25 above.
    assert interval(7.0, np.arange(1001.0)) == Interval(7.0, pytest.approx(25.0), pytest.approx(975.0))


@settings(max_examples=25, deadline=None)
@given(labellings, st.integers(0, 2**32))
def test_every_resample_is_the_figure_of_its_images(pair, seed):
    labels, predictions = map(np.array, pair)
    values = np.where(labels == 0, np.nan, labels + 0.5 * predictions)
    found = bootstrap([macro_f1(labels, predictions), mean(values)], resamples=5, seed=seed)
    for row, drawn in zip(found, naive_draws(len(labels), 5, seed), strict=True):
        f1 = f1_score(labels[drawn], predictions[drawn], average="macro", zero_division=0)
        kept = values[drawn][~np.isnan(values[drawn])]
        assert row == pytest.approx([f1, kept.mean() if len(kept) else np.nan], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("elements", [1, 100, 12_345])
def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch, elements):
    statistic = mean(np.random.default_rng(0).random(97))
    expected = bootstrap([statistic], resamples=500)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", elements)
    np.testing.assert_allclose(bootstrap([statistic], resamples=500), expected, rtol=1e-12)


def test_one_seed_gives_one_result_and_another_seed_another():
    statistic = mean(np.arange(30))
    np.testing.assert_array_equal(bootstrap([statistic], seed=3), bootstrap([statistic], seed=3))
    assert (bootstrap([statistic], seed=3) != bootstrap([statistic], seed=4)).any()


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    values = np.random.default_rng(0).normal(5.0, 2.0, size=3000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    found = bounds(values)
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bounds_are_those_of_scipy():
    generator = np.random.default_rng(1)
    values = generator.exponential(size=200)
    peer = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=generator)
    found, width = bounds(values, resamples=4000), np.ptp(peer.confidence_interval)
    assert (found.low, found.high) == pytest.approx(tuple(peer.confidence_interval), abs=0.08 * width)


def test_paired_bounds_are_those_of_scipy():
    generator = np.random.default_rng(2)
    a = generator.random(150)
    b = a + 0.1 * generator.standard_normal(150)
    peer = stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=generator,
    )
    draws = bootstrap([mean(a), mean(b)], resamples=4000)
    found, width = interval(b.mean() - a.mean(), draws[:, 1] - draws[:, 0]), np.ptp(peer.confidence_interval)
    assert (found.low, found.high) == pytest.approx(tuple(peer.confidence_interval), abs=0.08 * width)


def test_bounds_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(3)
    found = [bounds(generator.random(60) < 0.7, resamples=400, seed=trial) for trial in range(500)]
    covered = np.mean([one.low <= 0.7 <= one.high for one in found])
    assert 0.90 < covered < 0.98


def test_bounds_of_macro_f1_cover_the_truth_about_as_often_as_they_say():
    """Three classes of which the model confuses the last two: the truth is the F1 of endless images."""
    generator = np.random.default_rng(4)
    confusion = np.array([[0.30, 0.03, 0.00], [0.00, 0.28, 0.05], [0.02, 0.08, 0.24]])
    truth = np.mean(2 * np.diag(confusion) / (confusion.sum(0) + confusion.sum(1)))
    covered = []
    for trial in range(300):
        cells = generator.choice(9, size=150, p=confusion.ravel())
        statistic = macro_f1(cells // 3, cells % 3)
        found = interval(statistic.value, bootstrap([statistic], resamples=300, seed=trial)[:, 0])
        covered.append(found.low <= truth <= found.high)
    assert 0.89 < np.mean(covered) < 0.99


def test_the_paired_difference_of_similar_models_is_surer_than_the_unpaired():
    generator = np.random.default_rng(5)
    hardness = generator.random(500)
    a, b = (hardness + 0.1 * generator.standard_normal(500) for _ in range(2))
    draws, apart = bootstrap([mean(a), mean(b)]), bootstrap([mean(b)], seed=1)
    paired, unpaired = draws[:, 1] - draws[:, 0], apart[:, 0] - draws[:, 0]
    # Of the variance 2 (1/12 + 0.01) only the part 2 · 0.01 is not shared.
    assert paired.std() / unpaired.std() == pytest.approx(np.sqrt(0.01 / (1 / 12 + 0.01)), rel=0.15)


def test_calls_with_one_seed_are_paired_too():
    a, b = np.arange(50.0), np.arange(50.0) ** 2
    together = bootstrap([mean(a), mean(b)], seed=9)
    np.testing.assert_array_equal(together[:, 1:], bootstrap([mean(b)], seed=9))


def test_ten_thousand_images_take_little_memory():
    statistic = mean(np.random.default_rng(0).random(10_000))
    tracemalloc.start()
    bootstrap([statistic], resamples=300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20  # all counts at once would be 24 MB for 300, and 160 MB for 2,000 resamples


def test_a_resample_without_any_value_does_not_spoil_the_bounds():
    found = bounds(np.array([np.nan, 1.0]), resamples=50)
    assert found == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize("statistics", [[], [mean([])], [mean([1.0]), mean([1.0, 2.0])]])
def test_statistics_of_no_or_different_images_are_refused(statistics):
    with pytest.raises(ValueError, match="one and the same images"):
        bootstrap(statistics)
