import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TINY = (
    "--set dataset.batch_size=32 --set dataset.augmentation={} --set model.embed_dim=16 --set model.num_heads=2 "
    "--set model.num_layers=1 --set model.latent_dim=4 --set model.embedding_dim=8 --set model.decoder_dim=4 "
    "--set logging.tsne_samples=100 --epochs 1"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line.split("  #")[0].strip() for block in blocks("bash") for line in block.splitlines() if line.strip()]
TRAINING = [command for command in COMMANDS if command.startswith("python run.py")]
OF_OWN_IMAGES = ("triptych init", "triptych doctor", "triptych train", "triptych cache")
"""Commands from a folder of images to a model."""
OF_A_RUN = ("triptych evaluate", "triptych audit", "triptych explore", "triptych runs")
"""Commands that look at what training left."""
OF_A_MODEL = ("triptych export", "triptych embed", "triptych index", "triptych search", "triptych serve")
"""Commands that put a model to use; `test_use.py` runs them."""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a user's clone contains, and small data sets in the real formats."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "run.py", folder)
    random = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        raw = folder / "data" / name / "raw"
        raw.mkdir(parents=True)
        for split, count in (("train", 160), ("t10k", 110)):
            images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            header = np.array([2051, count, 28, 28], ">i4").tobytes()
            with gzip.open(raw / f"{split}-images-idx3-ubyte.gz", "wb") as file:
                file.write(header + images.tobytes())
            labels = (np.arange(count) % 10).astype(np.uint8)
            with gzip.open(raw / f"{split}-labels-idx1-ubyte.gz", "wb") as file:
                file.write(np.array([2049, count], ">i4").tobytes() + labels.tobytes())
    cifar = folder / "data" / "cifar10"
    cifar.mkdir()
    for split, count in (("train", 160), ("test", 110)):
        pixels = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        images = [{"bytes": png(image), "path": ""} for image in pixels]
        pq.write_table(pa.table({"img": images, "label": [n % 10 for n in range(count)]}), cifar / f"{split}.parquet")
    return folder


def png(pixels: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command)
    beside = Path(sys.executable).with_name("python" if program == "python" else program)
    environment = {**os.environ, "TRIPTYCH_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    return subprocess.run(
        [beside, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def test_every_command_of_the_readme_is_of_a_kind_that_is_tested_here() -> None:
    tested = ("make ", "python run.py", "python -m pip install", "triptych describe", "tensorboard")
    tested += (*OF_OWN_IMAGES, *OF_A_RUN, *OF_A_MODEL)
    assert COMMANDS
    assert [command for command in COMMANDS if not command.startswith(tested)] == []


@pytest.mark.parametrize("command", TRAINING)
def test_the_training_commands_write_the_files_of_the_readme(command: str, workplace: Path) -> None:
    if "--resume" in command:
        # Something to resume from, with the very options of the resumption.
        assert run(f"{command.replace(' --resume', '')} {TINY}", workplace).returncode == 0
    finished = run(f"{command} {TINY}", workplace)

    assert finished.returncode == 0, finished.stderr
    dataset = re.search(r"configs/(\w+)\.yaml", command)[1]
    output = workplace / ("runs" if "--output runs" in command else ".")
    newest = max((output / "img_tasks" / dataset / "experiment").iterdir(), key=lambda folder: folder.stat().st_mtime)
    assert set(json.loads((newest / "metrics.json").read_text())) >= {"test", "val", "best_checkpoint", "epochs"}
    assert (newest / "config.yaml").is_file()
    assert (newest / "checkpoints.json").is_file()
    for name in ("best.ckpt", "last.ckpt"):
        assert (output / "lightning_checkpoints" / dataset / name).is_file()
    for picture in (f"triplet_samples_{dataset}.png", "embeddings_tsne.png"):
        assert (output / picture).stat().st_size > 5_000
        assert (newest / picture).is_file()


def test_a_folder_of_images_becomes_a_model_by_the_commands_of_the_readme(workplace: Path) -> None:
    random = np.random.default_rng(0)
    for label, brightness in enumerate((0, 60, 120)):
        folder = workplace / "photos" / f"kind {label}"
        folder.mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 130, (30 + number, 40, 3)) + brightness
            (folder / f"{number}.png").write_bytes(png(pixels.astype(np.uint8)))

    commands = [command for command in COMMANDS if command.startswith(OF_OWN_IMAGES)]
    for command in commands:
        finished = run(f"{command} {TINY}" if "train" in command else command, workplace)
        assert finished.returncode == 0, finished.stderr
    (config,) = [block for block in blocks("yaml") if "photos.yaml" in block]
    (workplace / "photos.yaml").write_text(config)
    (train,) = [command for command in commands if "train" in command]
    assert run(f"{train} {TINY}", workplace).returncode == 0, "the short config trains too"

    for version in (0, 1):
        (metrics,) = workplace.glob(f"img_tasks/photos/experiment/version_{version}/metrics.json")
        assert json.loads(metrics.read_text())["epochs"] == 1
    assert (workplace / "lightning_checkpoints" / "photos" / "best.ckpt").is_file()


@pytest.fixture(scope="module")
def trained(workplace: Path) -> Path:
    """The workplace after two runs on the digits."""
    for seed in (0, 1):
        assert run(f"python run.py --config configs/digits.yaml --seed {seed} {TINY}", workplace).returncode == 0
    return workplace


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(OF_A_RUN)])
def test_the_commands_about_runs_print_and_write_what_the_readme_shows(command: str, trained: Path) -> None:
    finished = run(command, trained)

    assert finished.returncode == 0, finished.stderr
    newest = (trained / "lightning_checkpoints/digits/best.ckpt").resolve().parents[2] / "img_tasks/digits/experiment"
    left = {path.name for path in newest.glob("version_*/*")}
    if "evaluate" in command:
        assert {"report.html", "map.html", "metrics.json", "per_image_test.parquet"} <= left
    if "explore" in command:
        assert (trained / "explorer.html").stat().st_size > 1_000_000
    if "audit" in command:
        assert "audit.html" in left
    if "runs" in command:
        assert "accuracy" in finished.stdout


def test_the_demo_reaches_its_accuracy_and_prints_all_paths(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^demo:.*\n\t(.*)$", makefile, re.MULTILINE)[1]
    command = recipe.replace("$(BIN)/", "")
    assert command in COMMANDS
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "run.py", tmp_path)

    finished = run(command, tmp_path)

    assert finished.returncode == 0, finished.stderr
    metrics = json.loads((tmp_path / "img_tasks/digits/experiment/version_0/metrics.json").read_text())
    assert metrics["test"]["accuracy"] >= 0.97
    for place in ("best_checkpoint", "metrics.json", "embeddings_tsne.png", "triplet_samples_digits.png"):
        shown = metrics[place] if place == "best_checkpoint" else place
        assert shown in finished.stdout


def test_the_plain_pip_line_is_the_one_that_make_runs() -> None:
    line = next(command for command in COMMANDS if command.startswith("python -m pip install"))
    makefile = (
        (ROOT / "Makefile")
        .read_text()
        .replace("--quiet --disable-pip-version-check ", "")
        .replace("--constraint", "-c")
    )
    assert line.replace(" -e ", " --editable ") in makefile


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(("triptych describe", "tensorboard"))])
def test_the_other_commands_run(command: str, workplace: Path) -> None:
    (workplace / "img_tasks").mkdir(exist_ok=True)
    # TensorBoard would serve for ever; --inspect reads the same folder and ends.
    finished = run(command + (" --inspect" if command.startswith("tensorboard") else ""), workplace)

    assert finished.returncode == 0, finished.stderr


def test_the_python_of_the_readme_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = f"python run.py --config configs/digits.yaml {TINY} --set model.embedding_dim=32"
    assert run(command, workplace).returncode == 0
    monkeypatch.chdir(workplace)
    names: dict = {}

    for block in blocks("python"):
        exec(block, names)

    assert names["embeddings"].vectors.shape == (5, 32)
    assert names["reconstructions"].shape == (5, 8, 8)
    assert names["samples"].shape == (16, 8, 8)
    assert len(names["classes"]) == 5


def test_the_message_about_an_invalid_config_is_the_real_one(tmp_path: Path) -> None:
    invalid, message = blocks("yaml")[-1], blocks("text")[0]
    (tmp_path / "invalid.yaml").write_text(invalid)

    finished = run(f"python {ROOT / 'run.py'} --config invalid.yaml", tmp_path)

    assert finished.returncode == 2
    assert finished.stderr.strip() == message.strip()
