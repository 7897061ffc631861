"""The page of the real run, as the command writes it."""

from pathlib import Path
from typing import Any

import pytest

from triptych.evaluation.report import write_report


@pytest.fixture(scope="session")
def report(reported: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, reported.opened, reported.evaluation, reported.pictures)
    return path
