"""What a user can write on the command line, in a config and into a data folder, rightly and wrongly."""

import gzip
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from triptych.cli.train import train
from triptych.training.checkpoints.checkpoint_io import read_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config_of(quick_yaml: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the quick config with some values changed, and return its path."""

    def write(**sections: dict[str, object]) -> Path:
        values = yaml.safe_load(quick_yaml.read_text())
        for section, changes in sections.items():
            values[section] = {**values.get(section, {}), **changes}
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_a_run_prints_its_steps_and_writes_the_files_of_the_readme(command, config_of, tmp_path):
    config = config_of(logging={"embeddings": True, "triplet_samples": True})
    output = tmp_path / "new" / "output"
    printed = command("train", "--config", config, "--epochs", "1", "--seed", "7", "--output", output).ends(0)

    for part in ("data", "model", "parameters", "device", "precision", "1/1", "accuracy", "checkpoint"):
        assert part in printed
    version = output / "img_tasks" / "digits" / "experiment" / "version_0"
    metrics = json.loads((version / "metrics.json").read_text())
    assert f"{metrics['test']['accuracy']:.4f}" in printed
    assert metrics["epochs"] == 1
    assert (output / "embeddings_tsne.png").read_bytes() == (version / "embeddings_tsne.png").read_bytes()
    assert (output / "triplet_samples_digits.png").is_file()
    resolved = yaml.safe_load((version / "config.yaml").read_text())
    assert (resolved["training"]["epochs"], resolved["training"]["seed"]) == (1, 7)
    checkpoints = output / "lightning_checkpoints" / "digits"
    assert {path.name for path in checkpoints.iterdir() if not path.name.startswith(".")} == {
        f"epoch=01-val_accuracy={metrics['val']['accuracy']:.4f}.ckpt",
        "version_0-last.ckpt",
        "best.ckpt",
        "last.ckpt",
    }
    assert read_checkpoint(checkpoints / "best.ckpt")["hyper_parameters"]["config"] == resolved


def test_options_are_repeatable_the_later_counts_and_the_short_ones_come_last(command, config_of, tmp_path):
    values = ["training.epochs=5", "training.seed=1", "training.seed=2", "model.embed_dim=32"]
    arguments = [argument for value in values for argument in ("--set", value)]
    command("train", "--epochs", "1", "--config", config_of(), *arguments, "--output", tmp_path).ends(0)
    resolved = yaml.safe_load((tmp_path / "img_tasks/digits/experiment/version_0/config.yaml").read_text())
    assert resolved["training"]["epochs"] == 1
    assert resolved["training"]["seed"] == 2
    assert resolved["model"]["embed_dim"] == 32


def test_the_output_is_the_current_folder_by_default(command, config_of, tmp_path):
    (tmp_path / "here").mkdir()
    before = f"import os; os.chdir({str(tmp_path / 'here')!r})"
    command("train", "--config", config_of(), "--epochs", "1", before=before).ends(0)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"img_tasks", "lightning_checkpoints"}


@pytest.mark.parametrize(
    ("resume", "path"),
    [(["--resume"], None), (["--resume", "some.ckpt"], "some.ckpt"), (["--resume=x.ckpt"], "x.ckpt")],
)
@pytest.mark.parametrize("last", [True, False])
def test_resume_takes_a_path_or_none_wherever_it_stands(config_of, tmp_path, monkeypatch, resume, path, last):
    started: list[tuple[int, Path | None]] = []

    def resumption(config, *, output, path):
        started.append((config.training.epochs, path))
        raise SystemExit

    monkeypatch.setattr("triptych.training.checkpoints.resuming.resumption", resumption)
    others = ["--config", str(config_of()), "--output", str(tmp_path), "--epochs", "3"]
    with pytest.raises(SystemExit):
        train.main([*others, *resume] if last else [*resume, *others], standalone_mode=False)
    assert started == [(3, Path(path) if path else None)]


def message(printed: str) -> str:
    """Check that what was printed is for people."""
    assert "Traceback" not in printed
    assert printed.strip()
    return printed


def test_resuming_nothing_is_one_message(command, config_of, tmp_path):
    printed = command("train", "--config", config_of(), "--output", tmp_path / "none", "--resume").ends(2)
    assert message(printed).startswith("Nothing to resume: expected a run on digits under ")
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("arguments", [[], ["--epochs", "3"]])
def test_a_config_is_required(command, arguments):
    assert "Expected one config, a YAML file, as in `triptych train run.yaml`; got none." in message(
        command("train", *arguments).ends(2)
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "training.epochs=many"], "training.epochs"),
        (["--set", "training.epohs=3"], "did you mean"),
        (["--set", "epochs"], "--set epochs"),
        (["--epochs", "0"], "training.epochs"),
        (["--epochs", "three"], "'--epochs': 'three' is not a valid integer"),
        (["--seed", "-1"], "training.seed"),
        (["--seed"], "Option '--seed' requires an argument"),
    ],
)
def test_a_wrong_option_is_reported(command, config_of, arguments, expected):
    assert expected in message(command("train", "--config", config_of(), *arguments).ends(2))


@pytest.mark.parametrize("place", ["a file", "within a file", "/proc/nowhere", "/dev/null/x", "n" * 300])
def test_an_output_that_cannot_be_written_is_reported_before_anything_is_read(command, config_of, tmp_path, place):
    (tmp_path / "file").touch()
    output = {"a file": tmp_path / "file", "within a file": tmp_path / "file" / "x"}.get(place, Path(place))
    before = "import triptych.data.builder as b; b.list_images = None"
    printed = message(command("train", "--config", config_of(), "--output", output, before=before).ends(2))
    assert "--output" in printed
    assert str(output)[:40] in printed


BROKEN_CONFIGS = {
    "several errors": ("dataset: {name: minst}\ntraining: {epochs: 0, lr: 1}\n", "3 errors"),
    "impossible together": ("dataset: {name: digits}\nmodel: {embed_dim: 64, num_heads: 5}\n", "not divisible"),
    "no YAML": ("dataset: {name: digits\n", "cannot be read as YAML"),
    "nothing": ("", "expected sections"),
    "no data set": ("training: {epochs: 1}\n", "dataset.name"),
    "code": ("dataset: !!python/object/apply:os.system ['true']\n", "line 1"),
    "not text": ("\x80\x81", "expected a YAML file"),
}


@pytest.mark.parametrize("name", BROKEN_CONFIGS)
def test_an_invalid_config_is_one_message(command, tmp_path, name):
    text, expected = BROKEN_CONFIGS[name]
    path = tmp_path / "invalid.yaml"
    path.write_bytes(text.encode("latin-1"))
    for verb in ("train", "describe"):
        printed = message(command(verb, "--config", path).ends(2))
        assert printed.startswith(str(path))
        assert expected in printed
    assert list(tmp_path.iterdir()) == [path]


def test_a_config_that_is_not_there_or_a_folder_is_reported(command, tmp_path):
    (tmp_path / "mnist.yaml").touch()
    printed = message(command("train", "--config", tmp_path / "minst.yaml").ends(2))
    assert f"did you mean {tmp_path / 'mnist.yaml'}?" in printed
    assert "expected a config, which is a YAML file" in message(command("train", "--config", tmp_path).ends(2))


def test_an_error_in_the_config_is_reported_without_waiting_for_pytorch(tmp_path):
    (tmp_path / "invalid.yaml").write_text("dataset: {name: minst}\n")
    script = """
import sys
from triptych.cli.main import main
try:
    main()
finally:
    print([name for name in ("torch", "lightning", "sklearn") if name in sys.modules])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "train", "--config", str(tmp_path / "invalid.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 2
    assert "did you mean 'mnist'?" in ended.stderr
    assert ended.stdout == "[]\n"


def idx(values: bytes, *shape: int, magic: int | None = None) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", magic or 0x0800 + len(shape), *shape) + values


IMAGES, LABELS = idx(bytes(20 * 784), 20, 28, 28), idx(bytes(range(10)) * 2, 20)
BROKEN_DATA = {
    "truncated": {"train-images-idx3-ubyte": IMAGES[:-100]},
    "empty": {"train-images-idx3-ubyte": b""},
    "wrong magic": {"train-labels-idx1-ubyte": idx(bytes(20), 20, magic=0x0D01)},
    "wrong counts": {"train-labels-idx1-ubyte": idx(bytes(19), 19)},
    "label out of range": {"train-labels-idx1-ubyte": idx(bytes([10]) * 20, 20)},
    "another size of image": {"train-images-idx3-ubyte": idx(bytes(20 * 49), 20, 7, 7)},
    "damaged compression": {"t10k-images-idx3-ubyte": None, "t10k-images-idx3-ubyte.gz": gzip.compress(IMAGES)[:-9]},
    "a folder": {"t10k-labels-idx1-ubyte": {}},
    "no images": {
        "train-images-idx3-ubyte": idx(b"", 0, 28, 28),
        "train-labels-idx1-ubyte": idx(b"", 0),
    },
}


@pytest.mark.parametrize("name", BROKEN_DATA)
def test_an_invalid_data_file_is_one_message(command, config_of, tmp_path, name):
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    files = {f"{part}-images-idx3-ubyte": IMAGES for part in ("train", "t10k")}
    files |= {f"{part}-labels-idx1-ubyte": LABELS for part in ("train", "t10k")}
    for file, content in (files | BROKEN_DATA[name]).items():
        if content == {}:
            (folder / file).mkdir()
        elif content is not None:
            (folder / file).write_bytes(content)
    config = config_of(dataset={"name": "mnist", "root": str(tmp_path / "data")})
    printed = message(command("train", "--config", config, "--output", tmp_path / "output").ends(2))
    assert len(printed.splitlines()) == 1, printed
    assert not list((tmp_path / "output").iterdir())


def test_no_files_and_no_network_is_a_message_with_a_remedy(command, config_of, tmp_path):
    unreachable = "http://127.0.0.1:9"
    environment = {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), unreachable),
        **{"no_proxy": "", "NO_PROXY": "", "TRIPTYCH_DATA": str(tmp_path / "given"), "XDG_CACHE_HOME": str(tmp_path)},
    }
    config = config_of(dataset={"name": "mnist", "root": str(tmp_path / "root")})
    started = command("train", "--config", config, "--output", tmp_path / "output", environment=environment)
    printed = message(started.ends(2))
    assert "MNIST" in printed
    assert "could not be downloaded" in printed
    for place in ("root", "given", "triptych"):
        assert str(tmp_path / place) in printed
    assert "Put train-images-idx3-ubyte.gz" in printed
    assert "configs/digits.yaml needs no files and no network" in printed
