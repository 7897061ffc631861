"""The engine for PyTorch, and the two modules for export: encoding and decoding."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.artefacts.engines.engine import Encoded
from triptych.models import ImageTransformer, MultiTaskImageTransformer

# B batch, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

Network = ImageTransformer | MultiTaskImageTransformer


class EncodingModule(nn.Module):
    """Maps images (B, C, H, W) to embeddings (B, E), logits (B, K) and, with a decoder, latents."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return embeddings, logits and, for a model with a decoder, the means of the posterior (B, L)."""
        if isinstance(self.network, ImageTransformer):
            embeddings = self.network.embed(images)
            return embeddings, self.network.classification_head(embeddings)
        latents, _ = self.network.encode(images)
        embeddings = self.network.embed_latent(latents)
        return embeddings, self.network.classification_head(embeddings), latents


class TorchEngine:
    """Computes with PyTorch.

    Args:
        network: The model; it is moved to the device and set to evaluation mode.
        device: As in `choose_device`.

    Raises:
        ValueError: This machine has no such device.
    """

    def __init__(self, network: Network, *, device: str | torch.device = "auto") -> None:
        place = choose_device(device)
        self.network = network.to(place).eval()
        self.device = str(place)
        self.embedding_dim = network.classification_head.linear.in_features
        self.latent_dim = network.latent_dim if isinstance(network, MultiTaskImageTransformer) else None
        self._encoding = EncodingModule(self.network)

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.float32]) -> Encoded:
        """Map images (B, C, H, W) with pixels in [0, 1] to their embeddings, logits and latents."""
        embeddings, logits, *latents = (_array(part) for part in self._encoding(self._tensor(pixels)))
        return Encoded(embeddings, logits, latents[0] if latents else None)

    @torch.inference_mode()
    def decode(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map latents (B, L) to images (B, C, H, W) with pixels in [0, 1]."""
        assert isinstance(self.network, MultiTaskImageTransformer)
        return _array(self.network.decode(self._tensor(latents)))

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def choose_device(device: str | torch.device) -> torch.device:
    """Return the requested device; "auto" is the GPU if there is one.

    Raises:
        ValueError: It is not a device, or this machine does not have it.
    """
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise ValueError(
            f"expected a device of this machine (auto, cpu, cuda, cuda:1, mps), got {str(device)!r}: {reason}"
        ) from error


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
