"""The engine for ONNX files: computes with ONNX Runtime, without PyTorch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych.artefacts.engines.engine import Encoded
from triptych.errors import CheckpointError, is_out_of_memory

if TYPE_CHECKING:
    import onnxruntime

# B batch, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

KEY = "triptych.model"
"""Metadata key of the model's description in an ONNX file, as JSON."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxEngine:
    """Computes with ONNX Runtime.

    Args:
        encoder: The file that maps images to embeddings, logits and latents.
        decoder: The file that maps latents to images; None if there is none.
        device: "cpu", "cuda"; "auto" chooses the GPU if ONNX Runtime supports it.
        threads: Number of threads per batch; None is OMP_NUM_THREADS, or all cores if that is not set.

    Attributes:
        description: The description of the model, as JSON.
        input_shape: C, H and W of the encoder's input.
        num_classes: K.

    Raises:
        CheckpointError: A file is missing, damaged, or was not exported by Triptych.
        ValueError: This installation of ONNX Runtime has no such device.
    """

    def __init__(
        self, encoder: Path, decoder: Path | None, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self.device = _chosen(str(device))
        self._encoder = _session(encoder, self.device, threads)
        self._decoder = None if decoder is None else _session(decoder, self.device, threads)
        self.description: str = self._encoder.get_modelmeta().custom_metadata_map.get(KEY, "")
        taken, outputs = _signature(self._encoder, "images", rank=4, file=encoder)
        if not self.description or not outputs.keys() >= {"embedding", "logits"}:
            raise CheckpointError(
                f"{encoder}: expected an encoder that `triptych export` wrote, got another ONNX model. Export it "
                "again, or name the bundle's folder."
            )
        self._takes_bytes = self._encoder.get_inputs()[0].type == "tensor(uint8)"
        self.input_shape = taken
        self.num_classes = _width(outputs, "logits", encoder)
        self.embedding_dim = _width(outputs, "embedding", encoder)
        self.latent_dim = _width(outputs, "latent", encoder) if "latent" in outputs else None
        if self._decoder is not None and decoder is not None:
            latent, pictures = _signature(self._decoder, "latent", rank=2, file=decoder)
            found = (latent, tuple(pictures.get("images", ())[1:]))
            if found != ((self.latent_dim,), self.input_shape):
                raise CheckpointError(
                    f"{decoder}: expected the decoder of the encoder beside it, from {self.latent_dim} dimensions to "
                    f"images {self.input_shape}; got one of other sizes. Copy both files of one bundle."
                )

    def encode(self, pixels: NDArray[np.float32]) -> Encoded:
        """Map images (B, C, H, W) with pixels in [0, 1] to their embeddings, logits and latents."""
        images = np.rint(pixels * 255).astype(np.uint8) if self._takes_bytes else pixels
        names = ["embedding", "logits", *(["latent"] if self.latent_dim is not None else [])]
        embeddings, logits, *latents = _computed(self._encoder, names, {"images": images})
        widths = (self.embedding_dim, self.num_classes, self.latent_dim)
        for values, width in zip((embeddings, logits, *latents), widths, strict=False):
            _check_shape(values, (len(pixels), width))
        return Encoded(embeddings, logits, latents[0] if latents else None)

    def decode(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map latents (B, L) to images (B, C, H, W) with pixels in [0, 1].

        Raises:
            CheckpointError: There is no decoder.onnx next to the encoder.
        """
        if self._decoder is None:
            raise CheckpointError("Expected decoder.onnx beside the encoder, but there is none. Copy the whole bundle.")
        (images,) = _computed(self._decoder, ["images"], {"latent": latents})
        _check_shape(images, (len(latents), *self.input_shape))
        return images


def _chosen(device: str) -> str:
    try:
        import onnxruntime
    except ImportError as error:
        raise CheckpointError("ONNX files need ONNX Runtime: pip install 'triptych[serve]'.") from error

    available = [name for name, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()]
    name = ("cuda" if "cuda" in available else "cpu") if device == "auto" else device
    if name not in available:
        raise ValueError(
            f"expected a device of this installation of ONNX Runtime (auto, {', '.join(available)}), got {device!r}"
        )
    return name


def _signature(
    session: "onnxruntime.InferenceSession", name: str, *, rank: int, file: Path
) -> tuple[tuple[int, ...], dict[str, list[Any]]]:
    """Return the shape of the single input, without the batch, and the shapes of the outputs by name.

    Raises:
        CheckpointError: There are other inputs, their sizes are dynamic, or the batch size is not.
    """
    inputs = session.get_inputs()
    names, shape = [one.name for one in inputs], list(inputs[0].shape) if inputs else []
    sizes = tuple(size for size in shape[1:] if isinstance(size, int) and size > 0)
    if names != [name] or len(shape) != rank or len(sizes) != rank - 1 or isinstance(shape[0], int):
        raise CheckpointError(
            f"{file}: expected an ONNX model that `triptych export` wrote, with the input {name!r} of {rank} "
            f"dimensions, an open batch first; got {', '.join(names) or 'none'} of the sizes {shape}. Export it again."
        )
    return sizes, {output.name: list(output.shape) for output in session.get_outputs()}


def _width(outputs: dict[str, list[Any]], name: str, file: Path) -> int:
    """Return the dimensions of an output (B, dimensions)."""
    shape = outputs[name]
    if len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 0:
        return shape[1]
    raise CheckpointError(
        f"{file}: expected the output {name!r} of a known number of dimensions, got the sizes {shape}. Export the "
        "model again."
    )


def _computed(
    session: "onnxruntime.InferenceSession", outputs: list[str], inputs: dict[str, NDArray[Any]]
) -> list[NDArray[np.float32]]:
    try:
        computed: list[NDArray[np.float32]] = session.run(outputs, inputs)
    except Exception as error:  # as below
        if is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise CheckpointError(
            f"ONNX Runtime cannot compute the model ({reason}). Export it again, with this version."
        ) from error
    return computed


def _check_shape(values: NDArray[np.float32], expected: tuple[int | None, ...]) -> None:
    if values.shape != expected:
        raise CheckpointError(
            f"Expected an ONNX model that computes {expected}, as it states, got {values.shape}. Export it again."
        )


def _session(path: Path, device: str, threads: int | None) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    wanted = os.environ.get("OMP_NUM_THREADS", "") if threads is None else str(threads)
    if wanted.isdecimal():
        options.intra_op_num_threads = int(wanted)
    options.log_severity_level = 3
    # Spinning idle threads would slow down the threads that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not path.is_file():
        raise CheckpointError(f"Expected an ONNX file at {path}, but there is no such file. Check the path.")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
    except Exception as error:  # ONNX Runtime's many error classes have no common base
        reason = str(error).partition("\n")[0][:200]
        raise CheckpointError(f"{path}: expected an ONNX model, got a damaged or foreign file ({reason}).") from error
