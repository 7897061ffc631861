"""Two runs side by side on a terminal: every figure with its interval, and the honest words."""

from io import StringIO

import pytest
from rich.console import Console

from triptych.metrics.intervals import Interval
from triptych.runs.comparison import Comparison, Figure, compare
from triptych.runs.comparison_table import figure_table, remarks, run_sides
from triptych.runs.records import read_record


def printed(renderable, width: int) -> list[str]:
    text = StringIO()
    Console(file=text, width=width).print(renderable)
    return [line.rstrip() for line in text.getvalue().splitlines()]


WORDS = {
    "inside the noise": Figure(
        "accuracy", Interval(0.9, 0.88, 0.92), Interval(0.91, 0.89, 0.93), Interval(0.01, -0.01, 0.03)
    ),
    "B is better": Figure(
        "precision_at_1", Interval(0.9, 0.88, 0.92), Interval(0.95, 0.93, 0.97), Interval(0.05, 0.03, 0.07)
    ),
    "A is better": Figure(
        "mse", Interval(0.01, 0.009, 0.011), Interval(0.02, 0.019, 0.021), Interval(0.01, 0.009, 0.011)
    ),
    "A is higher": Figure("kl", Interval(158.7, 157.0, 160.0), Interval(120, 118, 122), Interval(-38.7, -40, -37)),
    "only in A": Figure("psnr", Interval(16.1, 16.0, 16.2), None, None),
    "only in B": Figure("ssim", None, Interval(0.8, 0.7, 0.9), None),
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_follow_from_the_figures(words):
    comparison = Comparison((WORDS[words],), True, (400, 400), (3, 4))
    assert printed(figure_table(comparison, width=120), 120)[2].endswith(words)


def test_figures_have_their_intervals_beside_or_below_them(measured):
    comparison = compare(measured(0.7), measured(0.8, seed=1))
    accuracy = comparison.figures[0]
    estimate, low, high = (f"{value:.4f}" for value in (accuracy.a.estimate, accuracy.a.low, accuracy.a.high))
    assert f"{estimate}  {low}..{high}" in printed(figure_table(comparison, width=120), 120)[2]
    narrow = printed(figure_table(comparison, width=80), 80)
    assert estimate in narrow[2]
    assert f"{low}..{high}" in narrow[3]


@pytest.mark.parametrize("width", [80, 109, 110, 140])
def test_nothing_is_cut_off(width):
    few = Interval(0.0057123, 0.0055012, 0.0059234)
    small = Figure("nearest_neighbour_accuracy", few, few, Interval(-0.0001377, -0.0002214, -0.0000541))
    comparison = Comparison((*WORDS.values(), small), True, (400, 400), (3, 4))
    lines = printed(figure_table(comparison, width=width), width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "…" not in text
    for words in (*WORDS, "-0.00022..-0.00005"):
        assert words in text
    for value in ("0.9000", "0.8800..0.9200", "-0.0100..+0.0300", "158.70", "-40.00..-37.00", "0.0090..0.0110"):
        assert value in text


def test_small_differences_get_the_decimals_that_they_need():
    figure = Figure(
        "mse", Interval(0.0257, 0.0249, 0.0266), Interval(0.0256, 0.0248, 0.0265), Interval(-13e-5, -15.8e-5, -10.4e-5)
    )
    text = " ".join(printed(figure_table(Comparison((figure,), True, (9, 9), None), width=120), 120))
    assert "0.0257  0.0249..0.0266" in text
    assert "-0.000130  -0.000158..-0.000104" in text


def test_an_interval_without_width_is_written_plainly():
    exact = Interval(1.0, 1.0, 1.0)
    comparison = Comparison((Figure("accuracy", exact, exact, Interval(0, 0, 0)),), True, (9, 9), (0, 0))
    assert "+0.0000  +0.0000..+0.0000  inside the noise" in printed(figure_table(comparison, width=120), 120)[2]


def said(**changes) -> str:
    given = {"figures": (), "paired": True, "images": (10_000, 10_000), "only_right": (40, 60)}
    return " ".join(remarks(Comparison(**(given | changes)), split="test"))


def test_the_remarks_explain_what_the_intervals_are_and_what_they_omit():
    text = said()
    assert "95% interval" in text
    assert "samples of the 10,000 test images, the same for A and B (paired)" in text
    assert "A alone: 40 images; by B alone: 60 (McNemar's exact test: p = 0.057)." in text
    assert "not that of training: another seed gives another model" in text


def test_the_remarks_report_when_the_images_are_not_the_same():
    text = said(paired=False, images=(10_000, 9000), only_right=None)
    assert "10,000 for A and 9,000 for B" in text
    assert "paired" not in text
    assert "alone" not in text


def test_the_sides_show_what_the_runs_are_and_where_their_configs_differ(left):
    a = read_record(left("digits", 0))
    b = read_record(left("digits", 1, training={"seed": 5, "scheduler": {"name": "StepLR"}}, metrics=None))
    rows = {line.split("  ")[0]: line.split()[1:] for line in printed(run_sides(a, b), 80)}
    assert rows["state"] == ["finished", "stopped"]
    assert rows["checkpoint"] == ["epoch=01-val_accuracy=0.91.ckpt", "-"]
    assert rows["training.seed"] == ["0", "5"]
    assert rows["training.scheduler.name"] == ["LinearLR", "StepLR"]
    assert "training.epochs" not in rows


def test_no_terminal_obeys_what_a_received_run_contains(left):
    a, b = left("digits", 0), left("digits", 1, metrics={"best_checkpoint": "x/a\x1b[2J.ckpt"})
    b.config.write_text(b.config.read_text().replace("root: null", 'root: "a\\e[2J[red]:cat:"'))
    shown = "".join(printed(run_sides(read_record(a), read_record(b)), 120))
    assert "\x1b" not in shown
    assert "a\\x1b[2J.ckpt" in shown
    assert "a\\x1b[2J[red]" in shown


def test_a_config_that_cannot_be_read_is_not_reported_as_equal(left):
    a, b = left("digits", 0), left("digits", 1)
    b.config.write_text("")
    lines = printed(run_sides(read_record(a), read_record(b)), 80)
    assert lines[-1].split() == ["config", "-", "cannot", "be", "read"]


def test_equal_configs_are_reported_as_equal(left):
    a, b = (read_record(left("digits", version)) for version in (0, 1))
    assert any(line.split() == ["config", "the", "same", "the", "same"] for line in printed(run_sides(a, b), 80))
