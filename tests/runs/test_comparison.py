"""What is inside the noise is not called a difference, and what is outside is called by the better run's name."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from triptych.metrics.intervals import Interval
from triptych.runs.comparison import Figure, compare, of_the_same_images
from triptych.runs.per_image import PerImage


def by_name(comparison) -> dict[str, Figure]:
    return {figure.name: figure for figure in comparison.figures}


def test_figures_are_those_of_the_tables(measured):
    a, b = measured(0.7), measured(0.8, seed=1)
    found = by_name(compare(a, b))
    assert list(found) == ["accuracy", "macro_f1", "ece", "map_at_r", "mse"]
    for side, table in (("a", a), ("b", b)):
        columns = table.columns
        assert getattr(found["accuracy"], side).estimate == pytest.approx(
            (columns["prediction"] == columns["label"]).mean()
        )
        f1 = f1_score(columns["label"], columns["prediction"], average="macro")
        assert getattr(found["macro_f1"], side).estimate == pytest.approx(f1)
        assert getattr(found["map_at_r"], side).estimate == pytest.approx(np.nanmean(columns["map_at_r"]), abs=1e-6)
    difference = found["accuracy"].difference
    assert difference.estimate == pytest.approx(found["accuracy"].b.estimate - found["accuracy"].a.estimate)
    assert difference.low < difference.estimate < difference.high


def test_a_run_compared_with_itself_does_not_differ(measured):
    found = compare(measured(0.7), measured(0.7))
    assert all(figure.difference.estimate == 0 for figure in found.figures)
    assert all(figure.inside_noise and figure.better is None for figure in found.figures)


def test_a_clear_difference_names_the_better_run_either_way(measured):
    worse, better = measured(0.6), measured(0.8, seed=1)
    worse.columns["mse"] = worse.columns["mse"] + np.float32(0.01)
    for a, b, name in ((worse, better, "b"), (better, worse, "a")):
        found = by_name(compare(a, b))
        assert [found[figure].better for figure in ("accuracy", "macro_f1", "mse")] == [name] * 3
        assert found["accuracy"].inside_noise is False


def test_models_of_equal_skill_are_inside_the_noise(measured):
    found = by_name(compare(measured(0.7, seed=1), measured(0.7, seed=2)))
    assert found["accuracy"].a.estimate != found["accuracy"].b.estimate
    assert found["accuracy"].inside_noise


def test_of_a_figure_without_a_better_end_only_the_difference_is_reported(measured):
    tables = [measured(0.7), measured(0.7)]
    for table, shift in zip(tables, (0, 5), strict=True):
        table.columns["kl_divergence"] = table.columns["mse"] + np.float32(shift)
    figure = by_name(compare(*tables))["kl_divergence"]
    assert figure.inside_noise is False
    assert figure.better is None


def test_the_same_images_are_compared_in_pairs_and_more_surely(measured):
    a, b = measured(0.7), measured(0.7, seed=1)
    elsewhere = replace(b, description={**b.description, "images": "other"})
    paired, unpaired = compare(a, b), compare(a, elsewhere)
    assert (paired.paired, unpaired.paired) == (True, False)
    assert unpaired.only_right is None
    for name in ("accuracy", "map_at_r", "mse"):
        one, other = by_name(paired)[name], by_name(unpaired)[name]
        assert one.difference.estimate == other.difference.estimate
        assert np.ptp(astuple(one.difference)) < 0.7 * np.ptp(astuple(other.difference))


def astuple(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.description.pop("images"),
        lambda table: table.description.update(images="other"),
        lambda table: table.columns.update(label=table.columns["label"][::-1]),
        lambda table: table.columns.update(index=table.columns["index"] + 1),
    ],
    ids=["no digest", "another digest", "other labels", "other positions"],
)
def test_only_the_very_same_images_are_paired(measured, change):
    a, b = measured(0.7), measured(0.7)
    assert of_the_same_images(a, b)
    change(b)
    assert not of_the_same_images(a, b)


def test_tables_without_a_digest_are_not_taken_for_the_same(measured):
    a, b = measured(0.7, images=None), measured(0.7, images=None)
    assert not of_the_same_images(a, b)


def test_different_numbers_of_images_can_be_compared(measured):
    found = compare(measured(0.7), measured(0.8, images="other", count=250))
    assert found.images == (400, 250)
    assert found.figures[0].difference is not None


def test_images_that_only_one_classifies_correctly_are_counted():
    def table(right: list[int]) -> PerImage:
        columns = {"index": np.arange(5), "label": np.zeros(5, int), "prediction": 1 - np.array(right)}
        return PerImage(columns, {"images": "same"})

    assert compare(table([1, 1, 1, 0, 0]), table([0, 0, 0, 1, 0])).only_right == (3, 1)


def test_a_figure_that_one_run_lacks_stands_alone(measured):
    a, b = measured(0.7), measured(0.7)
    del a.columns["mse"]
    b.columns["map_at_r"][:] = np.nan
    found = by_name(compare(a, b))
    assert found["mse"].a is None
    assert found["map_at_r"].b is None
    for name in ("mse", "map_at_r"):
        assert (found[name].difference, found[name].inside_noise, found[name].better) == (None, None, None)


def test_positions_labels_and_confidence_are_no_figures(measured):
    assert list(measured(0.7).statistics()) == ["accuracy", "macro_f1", "ece", "map_at_r", "mse"]


def test_other_columns_of_a_table_are_no_figures(measured):
    """A folder's table has a column of file names; other programs may add theirs."""
    tables = [measured(0.7), measured(0.8, seed=1)]
    for table in tables:
        table.columns["file"] = np.array([f"cat/{number}.jpg" for number in range(400)], dtype=object)
        table.columns["weight"] = np.arange(400.0)
        table.columns["seen"] = np.array([None] * 400, dtype=object)
    assert [figure.name for figure in compare(*tables).figures] == ["accuracy", "macro_f1", "ece", "map_at_r", "mse"]


def test_accuracies_that_mcnemar_does_not_separate_have_no_better_run():
    def table(errors: int) -> PerImage:
        columns = {"index": np.arange(400), "label": np.zeros(400, int), "prediction": (np.arange(400) < errors) * 1}
        return PerImage(columns, {"images": "same"})

    a, b = by_name(compare(table(5), table(0))), by_name(compare(table(40), table(0)))
    assert a["accuracy"].p_value == pytest.approx(2 / 2**5)
    assert (a["accuracy"].inside_noise, a["accuracy"].better) == (True, None)
    assert b["accuracy"].better == "b"


def test_tables_of_older_versions_are_known_to_lack_influences(measured):
    table = measured(0.7)
    assert table.knows_influences
    for invalid in ({}, {"map_at_r": "x"}, [1], {"map_at_r": [None]}):
        assert not replace(table, description={**table.description, "influences": invalid}).knows_influences
