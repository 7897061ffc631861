"""The report: counted, ordered, and safe to print whatever was in the file."""

import pytest

from triptych.config.report import ReportLine, key_name, report, shown


def test_the_report_follows_the_file_and_then_the_flags():
    lines = [ReportLine((1, 1), "f1"), ReportLine((0, 12), "l12"), ReportLine((1, 0), "f0"), ReportLine((0, 3), "l3")]
    assert report("run.yaml", lines) == "run.yaml: 4 errors\n  l3\n  l12\n  f0\n  f1"


def test_errors_of_one_line_keep_their_order():
    assert report("r", [ReportLine((0, 3), "b"), ReportLine((0, 3), "a")]) == "r: 2 errors\n  b\n  a"


def test_one_error_is_singular():
    assert report("run.yaml", [ReportLine((0, 3), "l3")]).startswith("run.yaml: 1 error\n")


@pytest.mark.parametrize("value", ["x" * 10**6, [list(range(100))] * 100, {"a" * 10**6: {"b": {"c": {}}}}, 10**1000])
def test_a_shown_value_is_short(value):
    assert len(shown(value)) <= 80


def test_neither_values_nor_keys_carry_line_breaks_or_terminal_codes():
    for text in [shown("\x1b[2J\n"), key_name(("a", "\x1b[2J\n"))]:
        assert text.isprintable()
