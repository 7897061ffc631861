"""The model's ONNX files as a page runs them: images and reconstructions without the border of `dataset.pad`."""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from filelock import FileLock

from triptych.artefacts.bundle import DECODER, ENCODER, is_bundle, read_file
from triptych.artefacts.model import TrainedModel
from triptych.data.known.locate import cache_folder
from triptych.errors import CheckpointError, DataError
from triptych.explorer.viewpoint import network_of
from triptych.files import replacing

if TYPE_CHECKING:
    import onnx

VERSION = 1
"""Version of these files: a change invalidates exported ones."""
LIBRARIES = ("hf:", "timm:")
"""Encoders of other libraries, which are too large for a page: the server runs them."""

Place = Literal["page", "server", "none"]


class PageNetworks(NamedTuple):
    """The networks of a page, each an ONNX file with one input and an open batch dimension."""

    encoder: bytes | None
    """From images (B, C, h, w) in [0, 1] to embedding, logits and latent; None where the server has to embed."""
    decoder: bytes | None
    """From latent (B, L) to images (B, C, h, w); None for a model without a decoder."""


def networks_folder() -> Path:
    """Return the user's cache folder for exported networks, one folder per model."""
    return cache_folder() / "networks"


def page_networks(model: TrainedModel) -> PageNetworks:
    """Return the ONNX files of a model: those of its bundle, or exported now, or by an earlier page.

    Raises:
        DataError: The model has to be exported, and a library for that is missing.
        CheckpointError: The files of a bundle are damaged.
    """
    path, pad = model.path, model.description.preprocessing.pad
    wants_encoder = not (model.config.model.backbone or "").startswith(LIBRARIES)
    if path is not None and is_bundle(path) and (path / ENCODER).is_file():
        found = PageNetworks(read_file(path, ENCODER), read_file(path, DECODER) if model.latent_dim else None)
    elif network_of(model) is None:
        assert path is not None, "ONNX files have a place"
        decoder = path.with_name(DECODER)
        found = PageNetworks(path.read_bytes(), decoder.read_bytes() if decoder.is_file() else None)
    else:
        found = _exported(model, wants_encoder=wants_encoder)
    if not wants_encoder:
        found = found._replace(encoder=None)
    return PageNetworks(*(content and _without_border(content, pad) for content in found))


def _exported(model: TrainedModel, *, wants_encoder: bool) -> PageNetworks:
    """Export a model, once for all pages."""
    folder = networks_folder() / f"{model.fingerprint}-{VERSION}"
    names = [ENCODER] * wants_encoder + [DECODER] * (model.latent_dim is not None)
    if not names:
        return PageNetworks(None, None)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not all((folder / name).is_file() for name in names):
            _export(model, folder, wants_encoder=wants_encoder)
        contents = {name: (folder / name).read_bytes() for name in names}
    return PageNetworks(contents.get(ENCODER), contents.get(DECODER))


def _export(model: TrainedModel, folder: Path, *, wants_encoder: bool) -> None:
    from importlib.util import find_spec

    for library in ("onnx", "onnxscript"):
        if find_spec(library) is None:
            raise DataError(
                f"A page with the live model needs the library {library}: install it with pip install "
                "'triptych[export]', or name a bundle that was exported elsewhere."
            )
    from triptych.artefacts.export.onnx_export import export_onnx

    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the exporter's own
        written = export_onnx(
            model.network,
            Path(place),
            input_shape=model.description.preprocessing.input_shape,
            description=model.description.model_dump_json(),
            with_encoder=wants_encoder,
        )
        for file in written:
            with replacing(folder / file.name) as temporary:
                temporary.write_bytes(file.read_bytes())


def _without_border(content: bytes, pad: int) -> bytes:
    """Move the border into the network: images come and go without it."""
    if not pad:
        return content
    import onnx

    try:
        network = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf has errors of its own
        raise CheckpointError(f"Expected an ONNX model, got a damaged file ({error}). Export it again.") from error
    if [one.name for one in network.graph.input] == ["images"]:
        _add_border(network.graph, pad)
    else:
        _cut_border(network.graph, pad)
    written: bytes = network.SerializeToString()
    return written


def _add_border(graph: "onnx.GraphProto", pad: int) -> None:
    from onnx import TensorProto, helper

    for node in graph.node:
        node.input[:] = ["images_with_border" if name == "images" else name for name in node.input]
    graph.initializer.append(helper.make_tensor("border", TensorProto.INT64, [8], [0, 0, pad, pad, 0, 0, pad, pad]))
    graph.node.insert(0, helper.make_node("Pad", ["images", "border"], ["images_with_border"]))
    _change_sides(graph.input[0], -2 * pad)


def _cut_border(graph: "onnx.GraphProto", pad: int) -> None:
    from onnx import TensorProto, helper

    for node in graph.node:
        node.output[:] = ["images_with_border" if name == "images" else name for name in node.output]
        node.input[:] = ["images_with_border" if name == "images" else name for name in node.input]
    for name, values in (("border_start", [pad, pad]), ("border_end", [-pad, -pad]), ("border_axes", [2, 3])):
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [2], values))
    inputs = ["images_with_border", "border_start", "border_end", "border_axes"]
    graph.node.append(helper.make_node("Slice", inputs, ["images"]))
    _change_sides(graph.output[0], -2 * pad)


def _change_sides(value: "onnx.ValueInfoProto", change: int) -> None:
    for side in value.type.tensor_type.shape.dim[2:]:
        side.dim_value += change
