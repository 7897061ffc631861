"""Processing of ONNX graphs: reading, removal of exporter metadata, and float16 weights."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LEAST = 64
"""Minimum number of values of a weight that is stored as float16; smaller ones are shapes, scales and exponents."""


def read_graph(path: Path) -> "onnx.ModelProto":
    """Read an ONNX file."""
    import onnx

    return onnx.load(str(path))


def write_graph(model: "onnx.ModelProto", path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write an ONNX file with these metadata, the same bytes for the same graph.

    Raises:
        onnx.checker.ValidationError: The graph is not valid.
    """
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def plain_graph(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Remove the exporter's metadata: stack traces with local paths, module names, intermediate shapes.

    They are a third of the file of a small model, and do not affect the computation.
    """
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
    model.doc_string = ""
    return model


def half_weights(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Store float32 weights as float16, with a cast before their use.

    The weights are rounded; all computation stays in float32, because runtimes fold the casts when they load the file.
    """
    import onnx

    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LEAST or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, stored = weight.name, f"{weight.name}.half"
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def graph_fingerprint(model: "onnx.ModelProto", base: str) -> str:
    """Return SHA-256 of a graph and the fingerprint of its original model, in hexadecimal."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    return hashlib.sha256(base.encode() + copy.SerializeToString(deterministic=True)).hexdigest()
