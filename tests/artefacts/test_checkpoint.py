"""Model files of PyTorch: read without running code, in every form that is supported, or rejected in one message."""

import contextlib
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triptych.artefacts.checkpoint import read_checkpoint, read_model
from triptych.artefacts.loading import load_model
from triptych.errors import CheckpointError
from triptych.models import ImageTransformer, MultiTaskImageTransformer

GOOD = {"state_dict": {"weight": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "names": ["a", "b"], "none": None}
MODES = pytest.mark.parametrize("multitask", [True, False])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    torch.save(GOOD, tmp_path / "good.ckpt")
    return tmp_path / "good.ckpt"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def legacy(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The dict of an older script: the weights of the model, and the sections of the YAML file."""
    weights = {name.removeprefix("model."): value for name, value in content["state_dict"].items()}
    return {"model_state_dict": weights, "config": content["hyper_parameters"]["config"], **changes}


@MODES
@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("zipped", [True, False])
def test_legacy_files_are_read(make_checkpoint, tmp_path, images, multitask, key, prefix, zipped):
    content = make_checkpoint(multitask=multitask)
    old = legacy(content)
    weights = {prefix + name: value for name, value in old["model_state_dict"].items()}
    saved = {key: weights, "config": old["config"], "epoch": 7}
    torch.save(saved, tmp_path / "old.pth", _use_new_zipfile_serialization=zipped)
    torch.save(content, tmp_path / "new.ckpt")

    model, checkpoint = load_model(tmp_path / "old.pth", "cpu")

    assert type(model) is (MultiTaskImageTransformer if multitask else ImageTransformer)
    assert not model.training
    assert checkpoint["epoch"] == 7
    expected, whole = load_model(str(tmp_path / "new.ckpt"), torch.device("cpu"))
    assert whole.keys() == content.keys()
    assert torch.equal(model.embed(images), expected.embed(images))
    assert torch.equal(model.classify(images), expected.classify(images))


def test_a_legacy_config_needs_only_what_differs_from_the_defaults(make_checkpoint, tmp_path, images):
    content = make_checkpoint()
    whole = content["hyper_parameters"]["config"]
    sections = {"dataset": {"name": "digits"}, "model": whole["model"]}
    torch.save(legacy(content, config=sections), tmp_path / "old.pth")
    torch.save(content, tmp_path / "new.ckpt")

    assert torch.equal(
        load_model(tmp_path / "old.pth")[0].embed(images), load_model(tmp_path / "new.ckpt")[0].embed(images)
    )


def test_a_legacy_file_may_name_its_own_classes(make_checkpoint, tmp_path):
    content = make_checkpoint(classes=("even", "odd", "neither"))
    torch.save(legacy(content, classes=["even", "odd", "neither"]), tmp_path / "old.pth")
    assert load_model(tmp_path / "old.pth")[0].classify(torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    torch.save(legacy(content), tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match=r"the weights do not fit .* size mismatch"):
        load_model(tmp_path / "old.pth")


def test_weights_of_the_losses_are_left_out(make_checkpoint, tmp_path):
    content = make_checkpoint()
    content["state_dict"]["weighted_sum.log_variances"] = torch.zeros(2)
    torch.save(content, tmp_path / "new.ckpt")

    assert "weighted_sum.log_variances" not in read_model(tmp_path / "new.ckpt").weights
    assert isinstance(load_model(tmp_path / "new.ckpt")[0], MultiTaskImageTransformer)


def test_the_fingerprint_is_that_of_weights_preprocessing_and_classes(make_checkpoint, tmp_path):
    def fingerprint(content: dict[str, Any], change: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
        torch.save(content, tmp_path / "one.ckpt")
        copied = torch.load(tmp_path / "one.ckpt", weights_only=True)
        change(copied)
        torch.save(copied, tmp_path / "one.ckpt")
        return read_model(tmp_path / "one.ckpt").description().fingerprint

    content = make_checkpoint()
    first = fingerprint(content)

    def train_longer(copied: dict[str, Any]) -> None:
        copied["hyper_parameters"]["config"]["training"]["epochs"] = 77
        copied["optimizer_states"] = []

    def move_a_weight(copied: dict[str, Any]) -> None:
        copied["state_dict"]["model.embedding_head.output.bias"][0] += 1e-3

    def fit_otherwise(copied: dict[str, Any]) -> None:
        copied["hyper_parameters"]["config"]["dataset"]["pad"] = 4

    def swap_classes(copied: dict[str, Any]) -> None:
        copied["hyper_parameters"]["classes"].reverse()

    assert fingerprint(content, train_longer) == first
    assert len({first, *(fingerprint(content, one) for one in (move_a_weight, fit_otherwise, swap_classes))}) == 4


def test_what_is_no_model_is_rejected_with_one_message(make_checkpoint, tmp_path):
    content = make_checkpoint()
    good, weights = legacy(content), legacy(content)["model_state_dict"]
    damaged_config = {**good["config"], "model": {**good["config"]["model"], "embed_dim": 17}}
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "no config": ({"model_state_dict": weights}, "got one with the keys 'model_state_dict'"),
        "no weights": ({"config": good["config"]}, "expected a dict with 'model_state_dict'"),
        "nothing": ({}, "got one with no keys"),
        "weights that are none": ({**good, "model_state_dict": [1, 2]}, "expected a dict with"),
        "weights that are numbers": ({**good, "model_state_dict": {"a": 1.0}}, "expected a dict with"),
        "a config that is none": ({**good, "config": [1]}, "this version cannot read the config"),
        "an impossible config": ({**good, "config": damaged_config}, "embed_dim 17 is not divisible"),
        "a newer config": ({**good, "config": {**good["config"], "new": 1}}, "Load it with the version that wrote it"),
        "a missing weight": ({**good, "model_state_dict": dict(list(weights.items())[1:])}, "Missing key"),
        "another size": ({**good, "config": {"dataset": {"name": "digits"}}}, "the weights do not fit"),
        "pixel statistics of another image": ({**good, "pixel_mean": [0.1, 0.2]}, "expected the description"),
        "pixel statistics that are none": ({**good, "pixel_std": "large"}, "expected the pixel statistics"),
        "classes that are none": ({**good, "classes": 3}, "expected the names of its classes"),
        "classes that are numbers": ({**good, "classes": [1, 2]}, "expected the names of its classes"),
        "no classes of its own images": (
            {**good, "config": {"dataset": {"name": "folder", "root": "x", "image_size": 8, "channels": 1}}},
            "expected the names of its classes",
        ),
        "hyper-parameters that are none": ({**good, "hyper_parameters": 3}, "expected a dict with"),
    }
    for name, (changed, expected) in cases.items():
        torch.save(changed, tmp_path / f"{name}.pth")
        with pytest.raises(CheckpointError) as error:
            load_model(tmp_path / f"{name}.pth")
        assert expected in str(error.value), name
        assert str(tmp_path / f"{name}.pth") in str(error.value), name
        assert len(str(error.value).splitlines()) == 1, name


class Code:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch '{self.mark}'",)


def write_bare(path: Path, code: Code) -> None:
    path.write_bytes(pickle.dumps({"state_dict": code}, protocol=2))


def write_newest_pickle(path: Path, code: Code) -> None:
    path.write_bytes(pickle.dumps({"state_dict": code}))


def write_zip(path: Path, code: Code) -> None:
    torch.save({"state_dict": code}, path)


def write_old(path: Path, code: Code) -> None:
    torch.save({"state_dict": code}, path, _use_new_zipfile_serialization=False)


def write_tar(path: Path, code: Code) -> None:
    """torch's format of 2016, whose reader unpickles each member."""
    members = {"sys_info": {"protocol_version": 1000}, "pickle": code, "storages": code, "tensors": code}
    with tarfile.open(path, "w") as archive:
        for name, value in members.items():
            content = pickle.dumps(value, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("write", [write_bare, write_newest_pickle, write_zip, write_old, write_tar])
def test_a_checkpoint_with_code_is_rejected_and_the_code_does_not_run(tmp_path, write):
    path, mark = tmp_path / "evil.ckpt", tmp_path / "ran"
    write(path, Code(mark))
    with pytest.raises(CheckpointError, match=r"was rejected: .* Nothing in it was run") as error:
        read_checkpoint(path)
    assert not mark.exists()
    assert "weights_only" not in str(error.value)  # torch's own advice is to trust the file


def test_the_code_would_run_if_it_could(tmp_path):
    """The oracle of the test above: the same file, read the unsafe way."""
    write_zip(tmp_path / "evil.ckpt", Code(tmp_path / "ran"))
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_the_rejection_names_what_the_file_would_call(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"calls torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(tmp_path / "module.pth")


def make_invalid(folder: Path) -> dict[str, Path]:
    content = io.BytesIO()
    torch.save(GOOD, content)
    whole = content.getvalue()
    files = {
        "empty": b"",
        "one byte": whole[:1],
        "cut short": whole[: len(whole) // 2],
        "without its end": whole[:-30],
        "text": b"hello there\n",
        "yaml": b"dataset:\n  name: digits\n",
        "zeros": bytes(1000),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(folder / "another zip", "w") as archive:
        archive.writestr("a.txt", "b")
    (folder / "a folder").mkdir()
    torch.save([1, 2], folder / "a list")
    torch.save(torch.zeros(3), folder / "a tensor")
    return {path.name: path for path in folder.iterdir()} | {"none": folder / "none", "within": folder / "text" / "x"}


def test_every_invalid_file_gets_one_message_that_names_it(tmp_path):
    for name, path in make_invalid(tmp_path).items():
        with pytest.raises(CheckpointError) as error:
            read_checkpoint(path)
        message = str(error.value)
        assert str(path) in message, name
        assert len(message.splitlines()) == 1, name
        assert "weights_only" not in message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_anywhere_is_reported_or_harmless(good, position, bit, cut):
    damaged = bytearray(good.read_bytes())
    place = int(position * len(damaged))
    damaged[place] ^= 1 << bit
    path = good.with_name("damaged.ckpt")
    path.write_bytes(damaged[:place] if cut else damaged)
    with contextlib.suppress(CheckpointError):  # and no other error
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"dataset: {name: digits}\n", b""])
def test_a_config_in_place_of_a_checkpoint_is_recognised(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.yaml").write_bytes(content)

    with pytest.raises(CheckpointError, match="expected a checkpoint; got a config"):
        read_checkpoint(tmp_path / "run.yaml")


def test_a_flipped_bit_never_changes_what_is_loaded(tmp_path):
    torch.save({"weight": torch.randn(400), "epoch": 3}, tmp_path / "whole.ckpt")
    whole = (tmp_path / "whole.ckpt").read_bytes()
    expected, rejected = read_checkpoint(tmp_path / "whole.ckpt"), 0

    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "damaged.ckpt").write_bytes(damaged)
        try:
            loaded = read_checkpoint(tmp_path / "damaged.ckpt")
        except CheckpointError:
            rejected += 1
        else:  # in what is no content: padding and times
            assert torch.equal(loaded["weight"], expected["weight"])
            assert loaded["epoch"] == 3
    assert rejected > 100


def test_a_pipe_in_place_of_a_checkpoint_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.ckpt")

    with pytest.raises(CheckpointError, match="a pipe, a socket or a device"):
        read_checkpoint(tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_layers", 2**40), ("embed_dim", 2**20), ("latent_dim", 2**40), ("decoder_dim", 2**40), ("mlp_ratio", 1e9)],
)
def test_a_model_that_is_larger_than_its_weights_is_not_built(make_checkpoint, tmp_path, key, value):
    content = make_checkpoint()
    content["hyper_parameters"]["config"]["model"][key] = value
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(CheckpointError, match="it is larger than"):
        read_model(tmp_path / "huge.ckpt").network()
