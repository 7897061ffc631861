from dataclasses import replace
from typing import Any

import pytest

from triptych.evaluation.report.facts import lead, run_facts


@pytest.mark.parametrize(
    ("split", "told"), [("test", "had never seen"), ("val", "expect less of new ones"), ("train", "what it remembers")]
)
def test_the_reader_is_told_what_a_split_is_worth(split: str, told: str, reported: Any) -> None:
    said = lead(reported.model, reported.data, replace(reported.evaluation, split_name=split))

    assert said.endswith(".")
    assert told in said
    assert f"learned from {len(reported.data.train):,} images of 10 classes" in said


def test_the_facts_are_those_of_the_run(reported: Any) -> None:
    record = {"epochs": 6, "train_seconds": 5400.0, "environment": {"torch": "2.9", "cpu_count": 4}}

    facts = dict(run_facts(reported.model, reported.data, record, checkpoint="best.ckpt"))

    assert facts["Checkpoint"] == "best.ckpt"
    assert facts["Images"] == "8x8x1"
    assert facts["Epochs"] == "6"
    assert facts["Time in training"] == "90 minutes"
    assert facts["Cpu count"] == "4"


def test_a_checkpoint_that_left_its_run_has_fewer_facts(reported: Any) -> None:
    facts = dict(run_facts(reported.model, reported.data, {}, checkpoint="moved.ckpt"))

    assert "Epochs" not in facts
    assert facts["Seed"] == "0"
