"""The table of runs: the right order, the right cells, and no line wider than the terminal."""

from io import StringIO

import pytest
from rich.console import Console

from triptych.runs.records import read_record
from triptych.runs.run_table import config_differences, run_table, sorted_records


def printed(records, width=80, **options) -> list[str]:
    text = StringIO()
    Console(file=text, width=width).print(run_table(records, width=width, **options))
    return [line.rstrip() for line in text.getvalue().splitlines()]


@pytest.fixture
def records(left):
    """Three runs on digits, one of them stopped, and one on another data set."""
    more = {"macro_f1": 0.8, "map_at_r": 0.7, "precision_at_1": 0.95, "psnr": 16.2, "nmi": 0.6, "silhouette": -0.1}
    finished = {"val": {"accuracy": 0.7}, "epochs": 3, "train_seconds": 75.0}
    cosine = {"scheduler": {"name": "CosineAnnealingLR"}}
    runs = [
        left("digits", 2, training=cosine, metrics={"test": {"accuracy": 0.5, "loss": 2.0}, **finished}),
        left(
            "digits",
            10,
            training={"seed": 1, **cosine},
            metrics={"test": {"accuracy": 0.75, "loss": 1.0, **more}, **finished},
        ),
        left("digits", 11, training={"seed": 1, "scheduler": {"name": "StepLR"}}, metrics=None),
        left("fashionmnist", 0, metrics={"test": {"accuracy": 0.6, "loss": 0.1}, **finished}),
    ]
    return [read_record(run) for run in runs]


def names(records) -> list[str]:
    return [record.folders.name for record in records]


def test_the_best_come_first_and_those_without_the_figure_last(records):
    best, worst, other, missing = "digits/10", "digits/2", "fashionmnist/0", "digits/11"
    assert names(sorted_records(records, "test.accuracy")) == [best, other, worst, missing]
    assert names(sorted_records(records, "test.accuracy", ascending=True)) == [worst, other, best, missing]
    assert names(sorted_records(records, "test.loss")) == [other, best, worst, missing]
    assert names(sorted_records(records, "test.loss", ascending=False)) == [worst, best, other, missing]
    # Equal runs, and those that lack the figure, keep their order.
    assert names(sorted_records(records, "epochs")) == [worst, best, other, missing]
    assert names(sorted_records(records, "test.psnr")) == [best, worst, missing, other]


def test_differences_are_listed_within_a_data_set(records):
    assert config_differences(records) == {
        "digits/2": {"training.seed": 0, "training.scheduler.name": "CosineAnnealingLR"},
        "digits/10": {"training.seed": 1, "training.scheduler.name": "CosineAnnealingLR"},
        "digits/11": {"training.seed": 1, "training.scheduler.name": "StepLR"},
        "fashionmnist/0": {},
    }


def test_a_row_has_name_state_epochs_time_figures_and_differences(records):
    lines = printed(records[1:3], width=100)
    first = next(place for place, line in enumerate(lines) if line.startswith("digits/10"))
    assert lines[first].split()[:5] == ["digits/10", "finished", "3/10", "0.7500", "0.7000"]
    assert lines[first].endswith("scheduler.name CosineAnnealingLR")
    assert lines[first + 1].startswith(f"{records[1].began:%Y-%m-%d %H:%M}")
    assert "1m 15s" in lines[first + 1]
    assert lines[first + 2].split()[:5] == ["digits/11", "stopped", "-/10", "-", "-"]


@pytest.mark.parametrize("width", [80, 100, 140, 250])
def test_no_line_is_wider_than_the_terminal_and_wide_ones_show_more(records, width):
    lines = printed(records, width)
    assert max(map(len, lines)) <= width
    header = " ".join(lines[:2])
    assert [name in header for name in ("accuracy", "map_at_r", "silhouette")] == [True, width >= 140, width == 250]
    for value in ("digits/10", "fashionmnist/0", "finished", "stopped", "1m 15s", "0.7500", "StepLR"):
        assert any(value in line for line in lines)
    assert not any("…" in line for line in lines)


def test_the_figure_that_is_sorted_by_is_shown_first(records):
    header = printed(records, width=90, first="test.silhouette")[1]
    assert header.index("silhouette") < header.index("accuracy")


def test_runs_without_differences_need_no_column_for_them(records):
    assert not any("differences" in line for line in printed(records[:1]))


def test_markup_in_a_config_is_shown_as_it_stands(left):
    runs = [left("digits", version) for version in range(2)]
    text = runs[1].config.read_text().replace("root: null", "root: '/a/[red]place'")
    runs[1].config.write_text(text)
    assert "[red]place" in "".join(printed([read_record(run) for run in runs], width=120))


def test_no_terminal_obeys_what_a_received_run_contains(left):
    runs = [left("digits", version, metrics={"test": {"a\x1b[2Jb": 0.5}}) for version in range(2)]
    text = runs[1].config.read_text().replace("root: null", 'root: "a\\e[2Jplace"')
    runs[1].config.write_text(text)
    shown = "".join(printed([read_record(run) for run in runs], width=120))
    assert "\x1b" not in shown
    assert "a\\x1b[2Jplace" in shown
    assert "a\\x1b[2Jb" in shown


def test_a_damaged_run_is_marked(left):
    lines = printed([read_record(left("digits", 0)), read_record(left("digits", 1, metrics="{"))])
    row = next(line for line in lines if line.startswith("digits/1"))
    assert "damaged" in row
    assert "metrics.json" in row


def test_a_hundred_differences_fit_too(left):
    records = []
    for version in range(2):
        run = left("digits", version)
        run.config.write_text("model:\n" + "".join(f"  a_rather_long_key_{key}: {version}\n" for key in range(100)))
        records.append(read_record(run))
    lines = printed(records)
    assert max(map(len, lines)) <= 80
    assert "a_rather_long_key_99" in "".join(line[-22:].strip() for line in lines)
