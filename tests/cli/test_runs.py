"""`triptych runs` and `triptych runs compare`: on two real runs, and on what a user may type wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from triptych.cli.main import triptych
from triptych.runs.folders import RunFolders
from triptych.runs.metrics_file import update_metrics
from triptych.runs.per_image import read_per_image, write_per_image

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch) -> Run:
    """Run `triptych runs ARGUMENTS` within this process, on a terminal of 80 columns; errors are raised."""
    monkeypatch.setenv("COLUMNS", "80")

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(triptych, ["runs", *map(str, arguments)], catch_exceptions=True)

    return invoke


@pytest.fixture
def two(tmp_path) -> list[RunFolders]:
    """Two made-up runs on digits and one on mnist."""
    runs = [RunFolders(tmp_path, dataset, version) for dataset, version in (("digits", 0), ("digits", 1), ("mnist", 0))]
    for place, folders in enumerate(runs):
        folders.version_folder.mkdir(parents=True)
        folders.config.write_text(f"dataset:\n  name: {folders.dataset}\ntraining:\n  seed: {place}\n")
        measured = {"accuracy": 0.9 + place / 50, "loss": 1.0}
        finished = {"test": measured, "best_checkpoint": "x/best.ckpt", "epochs": 2, "train_seconds": 3.0}
        update_metrics(folders.metrics, finished)
    return runs


def measure(folder: Path, *, skill: float, checkpoint: str = "best.ckpt") -> None:
    """Do what an evaluation does to a version folder."""
    labels = np.arange(200) % 10
    correct = np.random.default_rng(0).random(200) < skill
    columns = {"index": np.arange(200), "label": labels, "prediction": np.where(correct, labels, 0), "correct": correct}
    described = {"dataset": "digits", "split": "test", "images": "digest", "checkpoint": checkpoint}
    described["influences"] = {}
    write_per_image(folder / "per_image_test.parquet", columns, described)
    update_metrics(folder / "metrics.json", {"test": {"accuracy": float(correct.mean())}})


@pytest.fixture
def evaluations(monkeypatch) -> list[tuple[str, str]]:
    """Put a quick stand-in in the place of the evaluation, and list what it was called with."""
    called: list[tuple[str, str]] = []

    def measure_run(run: RunFolders, split: str) -> None:
        called.append((run.version_folder.name, split))
        measure(run.version_folder, skill=0.6 if run.version == 0 else 0.9)

    monkeypatch.setattr("triptych.evaluation.evaluate.measure_run", measure_run)
    return called


@pytest.fixture(scope="module")
def trained(command, quick_yaml, tmp_path_factory) -> Path:
    """The output root of a real run, and of one that has only just begun with another seed."""
    output = tmp_path_factory.mktemp("trained")
    command("train", "--config", quick_yaml, "--output", output, "--epochs", "1").ends(0)
    finished, begun = (RunFolders(output, "digits", version) for version in (0, 1))
    begun.version_folder.mkdir()
    begun.config.write_text(finished.config.read_text().replace("seed: 0", "seed: 4"))
    return output


def test_real_runs_are_listed_with_what_differs(command, trained):
    printed = command("runs", "--output", trained, environment={"COLUMNS": "100"}).ends(0)
    metrics = json.loads(RunFolders(trained, "digits", 0).metrics.read_text())
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith("digits/")}
    accuracies = [f"{metrics[split]['accuracy']:.4f}" for split in ("test", "val")]
    assert rows["digits/0"][:4] == ["finished", "1/1", *accuracies]
    assert rows["digits/1"][:4] == ["stopped", "-/1", "-", "-"]
    assert [rows[name][-2:] for name in rows] == [["seed", "0"], ["seed", "4"]]


def test_listing_loads_nothing_heavy_and_writes_nothing(two, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([name for name in sys.modules if name in"
        " {'torch', 'lightning', 'sklearn', 'matplotlib', 'pandas', 'PIL', 'pyarrow'}]))\n"
        f"sys.argv = ['triptych', 'runs', '--output', {str(tmp_path)!r}]\n"
        "from triptych.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "digits/1" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert sorted(tmp_path.rglob("*")) == before


def order(result: Result) -> list[str]:
    rows = [line.split()[0] for line in result.stdout.splitlines() if line]
    return [row for row in rows if row.startswith(("digits/", "mnist/"))]


def test_runs_are_sorted_by_a_figure(run, two, tmp_path):
    assert order(run("--output", tmp_path)) == ["digits/0", "digits/1", "mnist/0"]
    assert order(run("--output", tmp_path, "--sort", "accuracy")) == ["mnist/0", "digits/1", "digits/0"]
    ascending = run("--output", tmp_path, "--sort", "test.accuracy", "--ascending")
    assert order(ascending) == ["digits/0", "digits/1", "mnist/0"]


def test_a_figure_that_no_run_has_is_rejected_with_near_names(run, two, tmp_path):
    result = run("--output", tmp_path, "--sort", "acuracy")
    assert result.exit_code == 2
    assert "Did you mean accuracy?" in result.stderr
    assert not result.stdout


def test_a_direction_without_a_figure_is_rejected(run, two, tmp_path):
    result = run("--output", tmp_path, "--descending")
    assert result.exit_code == 2
    assert "--sort" in result.stderr


def test_a_damaged_run_is_marked_and_the_others_are_listed(run, two, tmp_path):
    two[1].metrics.write_text("{")
    two[0].config.write_text("a: [")
    result = run("--output", tmp_path)
    assert result.exit_code == 0
    assert order(result)[:3] == ["digits/0", "digits/1", "mnist/0"]
    printed = " ".join(result.stdout.split())
    assert "digits/1 damaged" in printed
    assert "digits/0: " in printed
    assert "expected the resolved config of the run" in printed


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--sort", "accuracy")])
def test_no_runs_are_one_clear_message(command, tmp_path, arguments):
    printed = command("runs", "--output", tmp_path, *arguments).ends(2)
    assert printed.startswith(f"No runs under {tmp_path}: expected img_tasks/<dataset>/experiment/version_N there.")


def test_a_root_that_is_not_there_is_named(command, tmp_path):
    printed = command("runs", "--output", tmp_path / "missing").ends(2)
    assert "missing" in printed
    assert "Traceback" not in printed


def test_runs_as_json_have_everything(run, two, tmp_path):
    listed = json.loads(run("--output", tmp_path, "--json", "--sort", "accuracy").stdout)
    assert [one["run"] for one in listed] == ["mnist/0", "digits/1", "digits/0"]
    assert listed[1]["metrics"]["test.accuracy"] == pytest.approx(0.92)
    assert listed[1]["differs"] == {"training.seed": 1}
    assert (listed[0]["state"], listed[0]["differs"], listed[0]["problems"]) == ("finished", {}, {})


def test_runs_without_results_per_image_are_measured_before_the_comparison(run, two, tmp_path, evaluations):
    measure(two[1].version_folder, skill=0.9)
    result = run("compare", "digits/0", "digits/1", "--output", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert evaluations == [("version_0", "test")]
    assert "digits/0: measuring its best checkpoint on the test images" in result.stderr
    printed = " ".join(result.stdout.split())
    for words in ("A: digits/0 B: digits/1", "training.seed 0 1", "B is", "200 test images", "another seed gives"):
        assert words in printed
    assert max(map(len, result.stdout.splitlines())) <= 80

    again = run("compare", "digits/0", "digits/1", "--output", tmp_path)
    assert again.stdout == result.stdout
    assert len(evaluations) == 1


def test_results_of_an_earlier_checkpoint_are_measured_again(run, two, tmp_path, evaluations):
    measure(two[0].version_folder, skill=0.9, checkpoint="earlier.ckpt")
    measure(two[1].version_folder, skill=0.9)
    assert run("compare", "digits/0", "digits/1", "--output", tmp_path).exit_code == 0
    assert evaluations == [("version_0", "test")]


def test_the_output_directory_may_stand_before_the_word_compare(run, two, tmp_path, evaluations):
    assert run("--output", tmp_path, "compare", two[0].version_folder, "digits/1").exit_code == 0


def test_a_comparison_as_json_has_everything(run, two, tmp_path, evaluations):
    found = json.loads(run("compare", "digits/0", "digits/1", "--output", tmp_path, "--json").stdout)
    accuracy = found["figures"]["accuracy"]
    assert (found["a"], found["b"], found["paired"], found["images"]) == ("digits/0", "digits/1", True, [200, 200])
    assert (accuracy["better"], accuracy["inside_noise"]) == ("b", False)
    assert accuracy["a"]["low"] < accuracy["a"]["estimate"] < accuracy["a"]["high"]
    assert found["config"] == {"training.seed": [0, 1]}


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("digits/0", "mnist/0", "Expected two runs on the same data set, got digits/0 and mnist/0"),
        ("digits/0", "digits/7", "digits/7: expected a run"),
        ("digits/0", "digits/version_0", "Expected two runs, got digits/0 twice"),
    ],
)
def test_what_cannot_be_compared_is_rejected_before_anything_is_measured(command, two, tmp_path, a, b, message):
    printed = command("runs", "compare", a, b, "--output", tmp_path).ends(2)
    assert message in printed
    assert "Traceback" not in printed


def test_a_damaged_table_of_results_is_one_clear_message(command, two, tmp_path):
    for folders in two[:2]:
        measure(folders.version_folder, skill=0.9)
    two[0].per_image("test").write_bytes(b"PAR1")
    printed = command("runs", "compare", "digits/0", "digits/1", "--output", tmp_path).ends(2)
    assert "per_image_test.parquet: expected a table of results per image" in printed
    assert len(printed.strip().splitlines()) == 1


def test_tables_with_file_names_are_compared(run, two, tmp_path):
    """Own images have a column of file names, which was once taken for numbers."""
    for folders, skill in zip(two[:2], (0.6, 0.9), strict=True):
        measure(folders.version_folder, skill=skill)
        table = read_per_image(folders.per_image("test"))
        files = np.array([f"cat/{number}.jpg" for number in range(200)], dtype=object)
        write_per_image(folders.per_image("test"), {**table.columns, "file": files}, table.description)
    result = run("compare", "digits/0", "digits/1", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "B is better" in " ".join(result.stdout.split())


def test_results_of_an_earlier_version_are_measured_again(run, two, tmp_path, evaluations):
    for folders in two[:2]:
        measure(folders.version_folder, skill=0.9)
    table = read_per_image(two[1].per_image("test"))
    del table.description["influences"]
    write_per_image(two[1].per_image("test"), table.columns, table.description)
    assert run("compare", "digits/0", "digits/1", "--output", tmp_path).exit_code == 0
    assert evaluations == [("version_1", "test")]


def test_runs_that_were_measured_on_other_images_than_those_of_training_are_reported(run, two, tmp_path):
    for folders in two[:2]:
        measure(folders.version_folder, skill=0.9)
    table = read_per_image(two[1].per_image("test"))
    note = "since training began, images were added, removed or relabelled (train)"
    write_per_image(two[1].per_image("test"), table.columns, {**table.description, "note": f"{note}\x1b[2J"})
    result = run("compare", "digits/0", "digits/1", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"note  digits/1: {note}\\x1b[2J" in result.stderr
    assert "digits/0: since" not in result.stderr
