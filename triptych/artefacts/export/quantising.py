"""Quantises the float32 encoder to 8-bit integers with ONNX Runtime, and measures accuracy and speed."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.artefacts.bundle import DECODER, ENCODER
from triptych.artefacts.description import ModelDescription, Quantisation
from triptych.artefacts.engines.onnx_engine import KEY, OnnxEngine
from triptych.artefacts.export.onnx_graphs import graph_fingerprint, plain_graph, read_graph, write_graph
from triptych.artefacts.export.pictures import encoded
from triptych.artefacts.model import TrainedModel
from triptych.artefacts.run_pixels import RunPixels

INT8 = "encoder.int8.onnx"
BATCH = 32
ROUNDS = 9
"""Number of alternating time measurements; the minimum counts, because other processes only add time."""


def quantise(folder: Path, description: ModelDescription, images: RunPixels) -> Quantisation:
    """Write `encoder.int8.onnx` next to the encoder of a bundle, and measure both.

    Weights are quantised per channel, activations by their ranges on training images (static quantisation).

    Returns:
        The measurements on test images.
    """
    calibration, measured = images.calibration.pixels, images.test
    graph = _quantised(folder / ENCODER, calibration)
    own = graph_fingerprint(graph, description.fingerprint)
    described = description.model_copy(update={"fingerprint": own, "metrics": {}})
    write_graph(graph, folder / INT8, metadata={KEY: described.model_dump_json()})
    decoder = folder / DECODER if (folder / DECODER).exists() else None
    engines = {
        kind: OnnxEngine(folder / name, decoder, device="cpu", threads=1)
        for kind, name in (("float32", ENCODER), ("int8", INT8))
    }
    outputs = {kind: encoded(TrainedModel(one, described), measured.pixels) for kind, one in engines.items()}
    cosines = np.sum(outputs["float32"].embeddings * outputs["int8"].embeddings, 1)
    return Quantisation(
        file=INT8,
        fingerprint=own,
        calibration_images=len(calibration),
        split="test",
        images=len(measured.labels),
        map_at_r={kind: mean_average_precision(one.embeddings, measured.labels) for kind, one in outputs.items()},
        accuracy={kind: float((one.logits.argmax(1) == measured.labels).mean()) for kind, one in outputs.items()},
        milliseconds=_milliseconds(engines, measured.pixels),
        batch_size=BATCH,
        cosine_similarity=float(cosines.mean()),
    )


def _quantised(encoder: Path, calibration: NDArray[np.float32]) -> Any:  # noqa: ANN401 - a graph of onnx
    import logging

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    takes_bytes = read_graph(encoder).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8

    class Reader(CalibrationDataReader):  # type: ignore[misc] # the library has no types
        def __init__(self) -> None:
            self._batches: Iterator[NDArray[np.float32]] = iter(
                np.array_split(calibration, max(1, len(calibration) // BATCH))
            )

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            batch = next(self._batches, None)
            if batch is None:
                return None
            return {"images": np.rint(batch * 255).astype(np.uint8) if takes_bytes else batch}

    logging.getLogger("root").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=encoder.parent, prefix=".int8.") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared, result = Path(scratch) / "prepared.onnx", Path(scratch) / "int8.onnx"
        quant_pre_process(str(encoder), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(result),
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            nodes_to_exclude=_readers_of_outputs(prepared),
        )
        return plain_graph(read_graph(result))


def _readers_of_outputs(path: Path) -> list[str]:
    """List the nodes that read a graph output: with rounded inputs, embeddings would not have norm 1."""
    graph = read_graph(path).graph
    outputs = {output.name for output in graph.output}
    return [node.name for node in graph.node if outputs & set(node.input)]


def mean_average_precision(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return MAP@R of embeddings (N, E) with labels (N,)."""
    import torch

    from triptych.metrics import retrieval_metrics

    return float(retrieval_metrics(torch.from_numpy(embeddings), torch.from_numpy(labels))["map_at_r"])


def _milliseconds(engines: dict[str, OnnxEngine], pixels: NDArray[np.float32]) -> dict[str, float]:
    """Return the time per image for each kind, measured alternately."""
    batch = np.resize(pixels, (BATCH, *pixels.shape[1:]))
    times: dict[str, list[float]] = {kind: [] for kind in engines}
    for engine in engines.values():
        engine.encode(batch)
    for _ in range(ROUNDS):
        for kind, engine in engines.items():
            start = perf_counter()
            for _ in range(3):
                engine.encode(batch)
            times[kind].append((perf_counter() - start) / (3 * BATCH) * 1e3)
    return {kind: round(min(taken), 4) for kind, taken in times.items()}
