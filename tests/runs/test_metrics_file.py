"""metrics.json is whole, valid, and keeps what others wrote into it."""

import json
import math

import pytest

from triptych.errors import DataError
from triptych.runs.metrics_file import read_metrics, update_metrics, write_metrics


def refuse_constants(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_metrics_are_written_whole(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics({"test": {"accuracy": 0.5}, "epochs": 3}, path)
    assert json.loads(path.read_text()) == {"test": {"accuracy": 0.5}, "epochs": 3}
    with pytest.raises(TypeError):
        write_metrics({"test": object()}, path)
    assert json.loads(path.read_text())["epochs"] == 3
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_that_are_not_finite_become_null(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics({"test": {"psnr": math.inf, "per_class": [0.5, math.nan, (-math.inf, 1)]}, "val": math.nan}, path)
    read = json.loads(path.read_text(), parse_constant=refuse_constants)
    assert read == {"test": {"psnr": None, "per_class": [0.5, None, [None, 1]]}, "val": None}


def test_an_update_keeps_every_key_that_it_does_not_name(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics({"test": {"accuracy": 0.5, "loss": 1.0}, "val": {"accuracy": 0.6}, "epochs": 3}, path)
    update_metrics(path, {"test": {"accuracy": 0.7, "mrr": math.nan}, "val": {}, "train": {"mrr": 1.0}, "epochs": 4})
    assert read_metrics(path) == {
        "test": {"accuracy": 0.7, "loss": 1.0, "mrr": None},
        "val": {"accuracy": 0.6},
        "epochs": 4,
        "train": {"mrr": 1.0},
    }


def test_a_table_within_a_split_is_replaced_as_a_whole(tmp_path):
    """Accuracies of classes that are gone must not stay among those that there are."""
    path = tmp_path / "metrics.json"
    write_metrics({"test": {"per_class": {"cat": 0.5, "dog": 0.6}}}, path)
    update_metrics(path, {"test": {"per_class": {"cat": 0.7}}})
    assert read_metrics(path) == {"test": {"per_class": {"cat": 0.7}}}


def test_an_update_begins_a_file_where_there_is_none(tmp_path):
    update_metrics(tmp_path / "run" / "metrics.json", {"test": {"mrr": 1.0}})
    assert read_metrics(tmp_path / "run" / "metrics.json") == {"test": {"mrr": 1.0}}


@pytest.mark.parametrize(
    "content",
    [b"", b'{"test": {"acc', b"[1, 2]", b"null", b"\xff\xfe", b"[" * 100_000],
    ids=lambda content: content[:9],
)
def test_a_damaged_file_is_one_clear_message_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    for act in (lambda: read_metrics(path), lambda: update_metrics(path, {"test": {}})):
        with pytest.raises(
            DataError, match=r"metrics\.json: expected the metrics of a run, a JSON object, but received"
        ):
            act()
    assert path.read_bytes() == content


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_metrics(tmp_path / "metrics.json")
