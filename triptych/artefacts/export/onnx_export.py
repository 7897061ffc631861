"""Exports a network to two ONNX files: images to embedding, logits and latent, and latent to image."""

import warnings
from copy import deepcopy
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from triptych.artefacts.engines.onnx_engine import KEY
from triptych.artefacts.engines.torch_engine import EncodingModule, Network
from triptych.artefacts.export.onnx_graphs import half_weights, plain_graph, read_graph, write_graph
from triptych.files import replacing
from triptych.models import ImageEncoder, MultiTaskImageTransformer

# B batch, C channels, H/W image, L latent_dim.

InputType = Literal["float32", "uint8"]
EXAMPLES = 2
"""Batch size of the traced example; the exported batch size is dynamic."""


class _FromBytes(nn.Module):
    """An encoder with uint8 input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.module(images.float() / 255)
        return outputs


class _Decoding(nn.Module):
    """Maps latents to images."""

    def __init__(self, network: MultiTaskImageTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        return self.network.decode(latent)


def export_onnx(
    network: Network,
    folder: Path,
    *,
    input_shape: tuple[int, int, int],
    description: str,
    input_type: InputType = "float32",
    half: bool = False,
    with_encoder: bool = True,
) -> list[Path]:
    """Write `encoder.onnx` and, for a model with a decoder, `decoder.onnx`.

    Inputs are `images` (B, C, H, W), floats in [0, 1] or uint8, and `latent` (B, L); B is dynamic. Outputs are
    `embedding`, `logits` and `latent`, and `images` in [0, 1]. Pixels are standardised inside; batch normalisation is
    folded into the convolutions.

    Args:
        network: The model; it is not changed.
        folder: The output folder.
        input_shape: C, H and W.
        description: Description of the model, as JSON, stored in the encoder's metadata.
        input_type: Input type of the encoder.
        half: Store the weights as float16.
        with_encoder: Whether `encoder.onnx` is written; otherwise only `decoder.onnx` is.

    Returns:
        The files.
    """
    network = deepcopy(network).cpu().float().eval()
    if isinstance(network.encoder, ImageEncoder):
        network.encoder.fold()
    has_decoder = isinstance(network, MultiTaskImageTransformer)
    files: list[Path] = []
    if with_encoder:
        encoding: nn.Module = EncodingModule(network)
        images = torch.rand(EXAMPLES, *input_shape)
        if input_type == "uint8":
            encoding, images = _FromBytes(encoding), (images * 255).byte()
        outputs = ["embedding", "logits", "latent"] if has_decoder else ["embedding", "logits"]
        files.append(folder / "encoder.onnx")
        _write(encoding, images, files[-1], name="images", outputs=outputs, metadata={KEY: description}, half=half)
    if isinstance(network, MultiTaskImageTransformer):
        files.append(folder / "decoder.onnx")
        latent = torch.randn(EXAMPLES, network.latent_dim)
        _write(_Decoding(network), latent, files[-1], name="latent", outputs=["images"], metadata={}, half=half)
    return files


def _write(
    module: nn.Module,
    example: Tensor,
    path: Path,
    *,
    name: str,
    outputs: list[str],
    metadata: dict[str, str],
    half: bool,
) -> None:
    import logging

    # The exporter logs unsupported operations before a fallback, and warnings about its own library.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "the exporter of PyTorch returns a program where it is given no file"
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)
        graph = plain_graph(read_graph(temporary))
        write_graph(half_weights(graph) if half else graph, temporary, metadata=metadata)
