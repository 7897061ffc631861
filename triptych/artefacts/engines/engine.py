"""The interface of inference engines, PyTorch or ONNX Runtime, on NumPy arrays."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

# B batch, C channels, H/W image, E embedding_dim, K classes, L latent_dim.


class Encoded(NamedTuple):
    """Outputs of a model for a batch of images."""

    embeddings: NDArray[np.float32]
    """(B, E), L2 norm 1."""
    logits: NDArray[np.float32]
    """(B, K), before the softmax."""
    latents: NDArray[np.float32] | None
    """(B, L), means of the posterior; None for a model without a decoder."""


class Engine(Protocol):
    """A model on a device.

    Attributes:
        device: Its device: "cpu", "cuda", "cuda:1", "mps".
        embedding_dim: E.
        latent_dim: L; None for a model without a decoder.
    """

    device: str
    embedding_dim: int
    latent_dim: int | None

    def encode(self, pixels: NDArray[np.float32]) -> Encoded:
        """Map images (B, C, H, W) with pixels in [0, 1] to their embeddings, logits and latents."""

    def decode(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map latents (B, L) to images (B, C, H, W) with pixels in [0, 1]."""
