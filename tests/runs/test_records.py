"""The files of a run are read whole, and damaged ones are reported instead of raised."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from triptych.config.hints import known_keys
from triptych.config.report import key_name
from triptych.runs.records import differing_keys, read_record, short_key
from triptych.training.checkpoints.run_checkpoints import RunCheckpoints


def test_a_finished_run_is_read_with_its_numbers_by_dotted_names(left):
    folders = left(training={"seed": 7})
    os.utime(folders.config, (1_000_000_000, 1_000_000_000))
    record = read_record(folders)
    assert record.folders == folders
    assert record.state == "finished"
    assert record.began.timestamp() == 1_000_000_000
    assert record.config["training.seed"] == 7
    assert record.metrics == {
        "test.accuracy": 0.9,
        "test.loss": 0.5,
        "val.accuracy": 0.91,
        "val.loss": 0.4,
        "epochs": 2,
        "train_seconds": 12.5,
    }
    assert record.best_checkpoint == "epoch=01-val_accuracy=0.91.ckpt"
    assert not record.problems


def test_what_is_no_number_is_no_metric(left):
    metrics = {"test": {"accuracy": None, "ok": True, "name": "x", "deep": {"a": 1}, "ece": 0.1}, "note": "x"}
    record = read_record(left(metrics=metrics))
    assert record.metrics == {"test.ece": 0.1}


def test_a_run_without_metrics_was_stopped(left):
    assert read_record(left(metrics=None)).state == "stopped"


def test_the_evaluation_of_a_stopped_run_does_not_make_it_finished(left):
    record = read_record(left(metrics={"test": {"map_at_r": 0.5}}))
    assert record.state == "stopped"
    assert record.metrics == {"test.map_at_r": 0.5}


@pytest.mark.parametrize("metrics", [None, {"epochs": 2, "train_seconds": 1.0}])
def test_a_run_is_running_while_its_lock_is_held(left, metrics):
    folders = left(metrics=metrics)
    before = read_record(folders).state
    with FileLock(folders.lock):
        assert read_record(folders).state == "running"
    assert read_record(folders).state == before != "running"


def test_the_lock_is_the_one_that_training_holds(left):
    folders = left()
    assert Path(RunCheckpoints(folders)._running.lock_file) == folders.lock


def test_reading_a_run_writes_nothing(left):
    folders = left()
    read_record(folders)
    assert {path.name for path in folders.version_folder.iterdir()} == {"config.yaml", "metrics.json"}


@pytest.mark.parametrize("content", ["", '{"test": {"acc', "[]", "12"])
def test_damaged_metrics_are_a_problem_of_the_record(left, content):
    record = read_record(left(metrics=content))
    assert record.state == "damaged"
    assert record.metrics == {}
    assert "metrics.json: expected the metrics" in record.problems["metrics.json"]
    assert record.config["dataset.name"] == "digits"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"dataset:\n\tname: [", "line 2"),
        (b"just text", "no sections"),
        (b"", "no sections"),
        (b"\xff\xfe\x00", "codec"),
        (None, "no such file"),
        ("folder", "directory"),
    ],
)
def test_a_damaged_config_is_a_problem_of_the_record(left, content, reason):
    folders = left()
    folders.config.unlink()
    if content == "folder":
        folders.config.mkdir()
    elif content is not None:
        folders.config.write_bytes(content)
    record = read_record(folders)
    assert record.config == {}
    assert "expected the resolved config" in record.problems["config.yaml"]
    assert reason in record.problems["config.yaml"].lower()
    assert record.state == "finished"


def test_a_lock_that_cannot_be_read_is_a_problem_of_the_record(left):
    folders = left()
    folders.lock.mkdir()
    record = read_record(folders)
    assert "the state of the run is unknown" in record.problems[".lock"]
    assert record.state == "finished"


def test_equal_configs_differ_in_nothing():
    config = {"training.seed": 0, "evaluation.holdout_classes": [7, 9]}
    assert differing_keys([config, dict(config), dict(config)]) == {}


def test_one_other_value_among_many_is_found():
    configs = [{"training.seed": 0, "training.margin": value} for value in (0.2, 0.2, None)]
    assert differing_keys(configs) == {"training.margin": (0.2, 0.2, None)}


def test_a_key_that_an_older_version_did_not_write_has_its_default():
    default = known_keys()["training", "margin"]["default"]
    assert differing_keys([{"training.margin": default}, {}]) == {}
    assert differing_keys([{}, {"training.margin": 0.7}]) == {"training.margin": (default, 0.7)}


def test_a_key_that_this_version_does_not_know_is_reported_too():
    assert differing_keys([{"model.future": 1}, {}]) == {"model.future": (1, None)}


def test_short_names_distinguish_all_keys():
    keys = [key_name(path) for path, schema in known_keys().items() if "properties" not in schema]
    assert len({short_key(key) for key in keys}) == len(keys) > 50


def test_pipes_in_place_of_its_files_are_problems_of_the_record(left):
    folders = left()
    for path in (folders.config, folders.metrics):
        path.unlink()
        os.mkfifo(path)
    assert set(read_record(folders).problems) == {"config.yaml", "metrics.json"}
