"""ONNX files that are not what `triptych export` wrote are rejected when they are loaded, in one message."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from triptych.artefacts.export.onnx_graphs import read_graph
from triptych.artefacts.loading import load
from triptych.errors import CheckpointError

IMAGE = np.zeros((12, 16, 3), np.uint8)


@pytest.fixture
def copy(photos_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that can be changed."""
    return Path(shutil.copytree(photos_bundle, tmp_path / "copy"))


def change_config(folder: Path, change: Callable[[dict], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def accept(folder: Path, name: str) -> None:
    """State the digest of a changed file."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change_config(folder, lambda config: config["files"].update({name: digest}))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda model: model["config"]["dataset"].update(background="black"), "config"),
        (lambda model: model["config"]["dataset"].update(fit="crop"), "config"),
        (lambda model: model.update(classes=["dog", "cat", "bird"]), "classes"),
    ],
)
def test_the_description_in_the_encoder_and_in_the_config_are_the_same(copy, change, part):
    change_config(copy, lambda config: change(config["model"]))
    with pytest.raises(CheckpointError, match=f"but they differ in {part}"):
        load(copy, engine="onnx")


def test_a_description_without_a_number_of_channels_is_rejected(copy):
    change_config(copy, lambda config: config["model"]["config"]["dataset"].update(channels=None))
    for engine in ("onnx", "torch"):
        with pytest.raises(CheckpointError, match="channels is null"):
            load(copy, engine=engine)


@pytest.mark.parametrize("place", ["", "encoder.onnx"])
def test_a_decoder_of_another_model_is_rejected(copy, digits_bundle, place):
    shutil.copy(digits_bundle / "decoder.onnx", copy / "decoder.onnx")
    with pytest.raises(CheckpointError, match=r"decoder\.onnx: expected the file that config\.json describes"):
        load(copy / place, engine="onnx")
    accept(copy, "decoder.onnx")
    with pytest.raises(CheckpointError, match="expected the decoder of the encoder beside it"):
        load(copy / place, engine="onnx")
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match="expected the decoder of the encoder beside it"):
        load(copy / "encoder.onnx")


def test_an_encoder_that_is_named_alone_is_compared_with_its_digest(digits_bundle, tmp_path):
    import onnx

    copy = Path(shutil.copytree(digits_bundle, tmp_path / "copy"))
    for name in ("encoder.onnx", "encoder.int8.onnx"):
        graph = read_graph(copy / name)
        graph.doc_string = "changed"
        onnx.save(graph, copy / name)
        with pytest.raises(CheckpointError, match="got another or a damaged one"):
            load(copy / name)


def rename_input(graph) -> None:
    for node in graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]
    graph.input[0].name = "pixels"


def add_input(graph) -> None:
    graph.input.append(graph.input[0])
    graph.input[-1].name = "more"


def fix_batch(graph) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def open_sizes(graph) -> None:
    graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def forget_shape(graph) -> None:
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.ClearField("shape")


@pytest.mark.parametrize("change", [rename_input, add_input, fix_batch, open_sizes, forget_shape])
def test_an_encoder_with_another_signature_is_rejected(copy, change):
    import onnx

    model = read_graph(copy / "encoder.onnx")
    change(model.graph)
    onnx.save(model, copy / "encoder.onnx")
    accept(copy, "encoder.onnx")
    with pytest.raises(CheckpointError, match="expected an ONNX model that `triptych export` wrote"):
        load(copy, engine="onnx")


@pytest.mark.parametrize(
    "shapes",
    [
        {"embedding": ["b", "e"], "logits": ["b", 3]},
        {"embedding": ["b", 6], "logits": ["b"]},
        {"embedding": None, "logits": ["b", 3]},
        {"embedding": ["b", 6], "logits": ["b", 3]},
    ],
)
def test_outputs_that_are_not_what_is_stated_are_an_error(photos_bundle, tmp_path, shapes):
    """The graph computes one sum, whatever it states."""
    import onnx
    from onnx import TensorProto, helper

    metadata = {one.key: one.value for one in read_graph(photos_bundle / "encoder.onnx").metadata_props}
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, 16, 20])
    nodes = [helper.make_node("ReduceMax", ["images"], ["sum"], keepdims=0)]
    nodes += [helper.make_node("Identity", ["sum"], [name]) for name in shapes]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "other", [images], outputs), opset_imports=[helper.make_opsetid("", 13)], ir_version=9
    )
    helper.set_model_props(model, metadata)
    onnx.save(model, tmp_path / "encoder.onnx")

    with pytest.raises(CheckpointError, match=r"of a known number of dimensions|as it states, got"):
        load(tmp_path / "encoder.onnx").embed(IMAGE)
