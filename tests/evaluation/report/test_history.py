from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from triptych.evaluation.report.history import Finding, curves_picture, findings, lead, learning_curves, run_facts


@pytest.mark.parametrize(
    ("split", "expected"),
    [("test", "not trained on"), ("val", "the figures are optimistic"), ("train", "do not hold for new images")],
)
def test_the_lead_states_how_reliable_the_figures_of_a_split_are(split: str, expected: str, reported: Any) -> None:
    said = lead(reported.model, reported.data, replace(reported.evaluation, split_name=split))

    assert said.endswith(".")
    assert expected in said
    assert f"trained on {len(reported.data.train):,} images of 10 classes" in said


def test_the_facts_are_those_of_the_run(reported: Any) -> None:
    record = {"epochs": 6, "train_seconds": 5400.0, "environment": {"torch": "2.9", "cpu_count": 4}}

    facts = dict(run_facts(reported.model, reported.data, record, checkpoint="best.ckpt"))

    assert facts["Checkpoint"] == "best.ckpt"
    assert facts["Images"] == "8x8x1"
    assert facts["Epochs"] == "6"
    assert facts["Training time"] == "90 minutes"
    assert facts["Cpu count"] == "4"


def test_a_checkpoint_that_left_its_run_has_fewer_facts(reported: Any) -> None:
    facts = dict(run_facts(reported.model, reported.data, {}, checkpoint="moved.ckpt"))

    assert "Epochs" not in facts
    assert facts["Seed"] == "0"


def test_what_the_guard_found_is_reported_in_its_own_words() -> None:
    expected = [
        {"epoch": 2, "last_epoch": 2, "name": "a", "what": "embeddings have collapsed"},
        {"epoch": 1, "last_epoch": 4, "name": "b", "what": "the latent is off"},
    ]

    assert findings({"diagnoses": expected}) == [
        Finding("Epoch 2", "embeddings have collapsed"),
        Finding("Epochs 1 to 4", "the latent is off"),
    ]


def test_that_nothing_was_found_is_something_else_than_that_nobody_looked() -> None:
    assert findings({"diagnoses": []}) == []
    assert findings({"test": {}}) is None


def write(folder: Path, points: list[tuple[str, int, float]]) -> None:
    with SummaryWriter(str(folder)) as writer:
        for tag, step, value in points:
            writer.add_scalar(tag, value, step)


def rename_events(folder: Path, name: str) -> None:
    (events,) = folder.glob("events.out.tfevents.*")
    events.rename(folder / name)


def test_the_curves_of_training_and_validation_are_read_back(tmp_path: Path) -> None:
    write(tmp_path, [("train/loss", 5, 2.0), ("train/loss", 10, 1.0), ("val/loss", 10, 1.5), ("test/loss", 10, 1.6)])

    curves = learning_curves(tmp_path)

    assert curves == {"loss": {"training": ([5, 10], [2.0, 1.0]), "validation": ([10], [1.5])}}


@pytest.mark.parametrize("names", [("1", "2"), ("9", "10")])
def test_a_step_that_was_taken_again_after_resuming_counts_once_with_its_last_value(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    write(tmp_path, [("train/loss", step, 4.0) for step in (1, 2, 3)])
    rename_events(tmp_path, f"events.out.tfevents.1700000000.host.1.{names[0]}")
    write(tmp_path / "resumed", [("train/loss", step, 2.0) for step in (3, 4)])
    rename_events(tmp_path / "resumed", f"../events.out.tfevents.1700000000.host.1.{names[1]}")

    assert learning_curves(tmp_path)["loss"]["training"] == ([1, 2, 3, 4], [4.0, 4.0, 2.0, 2.0])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_run_without_event_files_has_no_curves(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path if is_there else None

    assert learning_curves(folder) == {}
    assert curves_picture(folder) is None


def test_an_evaluation_alone_has_no_curves(tmp_path: Path) -> None:
    write(tmp_path, [("evaluation/test/accuracy", 0, 0.9)])

    assert learning_curves(tmp_path) == {}
