from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from triptych.evaluation.report.curves import curves_picture, learning_curves


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


def test_an_evaluation_alone_leaves_no_curves(tmp_path: Path) -> None:
    write(tmp_path, [("evaluation/test/accuracy", 0, 0.9)])

    assert learning_curves(tmp_path) == {}
