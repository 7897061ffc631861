"""A model in ONNX files as an engine: computes with ONNX Runtime, without PyTorch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from triptych.artefacts.engines.engine import Encoded
from triptych.errors import CheckpointError

if TYPE_CHECKING:
    import onnxruntime

# B batch, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

KEY = "triptych.model"
"""Where an ONNX file holds the description of its model, as JSON."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxEngine:
    """Computes with ONNX Runtime.

    Args:
        encoder: The file that maps images to embeddings, logits and latents.
        decoder: The file that maps latents to images; None where there is none.
        device: "cpu", "cuda"; "auto" chooses the GPU where ONNX Runtime has been installed for it.
        threads: Threads that compute one batch; None is OMP_NUM_THREADS, or all cores where that is not set.

    Attributes:
        description: The description of the model, as JSON.
        input_shape: C, H and W that the encoder takes.
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
        outputs = {output.name: output.shape for output in self._encoder.get_outputs()}
        if not self.description or not outputs.keys() >= {"embedding", "logits"}:
            raise CheckpointError(
                f"{encoder}: expected an encoder that `triptych export` wrote, got another ONNX model. Export it "
                "again, or name the bundle's folder."
            )
        taken = self._encoder.get_inputs()[0]
        self._takes_bytes = taken.type == "tensor(uint8)"
        self.input_shape = tuple(taken.shape[1:])
        self.num_classes = outputs["logits"][-1]
        self.embedding_dim = int(outputs["embedding"][1])
        self.latent_dim = int(outputs["latent"][1]) if "latent" in outputs else None

    def encode(self, pixels: NDArray[np.float32]) -> Encoded:
        """Map images (B, C, H, W) with pixels in [0, 1] to their embeddings, logits and latents."""
        images = np.rint(pixels * 255).astype(np.uint8) if self._takes_bytes else pixels
        embeddings, logits, *latents = self._encoder.run(None, {"images": images})
        return Encoded(embeddings, logits, latents[0] if latents else None)

    def decode(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map latents (B, L) to images (B, C, H, W) with pixels in [0, 1].

        Raises:
            CheckpointError: There is no decoder.onnx beside the encoder.
        """
        if self._decoder is None:
            raise CheckpointError("Expected decoder.onnx beside the encoder, but there is none. Copy the whole bundle.")
        images: NDArray[np.float32] = self._decoder.run(None, {"latent": latents})[0]
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


def _session(path: Path, device: str, threads: int | None) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    wanted = os.environ.get("OMP_NUM_THREADS", "") if threads is None else str(threads)
    if wanted.isdecimal():
        options.intra_op_num_threads = int(wanted)
    options.log_severity_level = 3
    # Idle threads that spin would take the processors from those that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not path.is_file():
        raise CheckpointError(f"Expected an ONNX file at {path}, but there is no such file. Check the path.")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
    except Exception as error:  # ONNX Runtime has many classes of errors, which share no base
        reason = str(error).partition("\n")[0][:200]
        raise CheckpointError(f"{path}: expected an ONNX model, got a damaged or foreign file ({reason}).") from error
