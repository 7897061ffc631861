"""The two heads: the unit-length embedding for metric learning, and the classifier on top of it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.latent import at_least_float32

# B batch, D input, E embedding, K classes.

INITIAL_SCALE = 10.0
"""The scale of the logits before training."""


class EmbeddingHead(nn.Module):
    """A small MLP onto the unit sphere, where Euclidean distances lie in [0, 2].

    Args:
        input_dim: D.
        embedding_dim: E; the hidden layer has twice as many units.
    """

    def __init__(self, input_dim: int, *, embedding_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(input_dim, 2 * embedding_dim)
        self.activation = nn.GELU()
        self.output = nn.Linear(2 * embedding_dim, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to embeddings (B, E) of L2 norm 1, at least float32."""
        points = at_least_float32(self.output(self.activation(self.hidden(features))))
        # A larger eps than the default bounds the gradient of a point near the origin.
        return F.normalize(points, dim=-1, eps=1e-6)


class ClassificationHead(nn.Module):
    """A linear classifier on the unit embedding, with a learned scale.

    The dot product of unit vectors is at most 1, too little for a confident softmax. The scale (an inverse temperature,
    learned as its logarithm as in CLIP, Radford et al., 2021) removes this limit.

    Args:
        embedding_dim: E.
        num_classes: K.
    """

    def __init__(self, embedding_dim: int, *, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_dim, num_classes)
        # Initial logits have deviation 1 for any E: predictions near chance, and gradients large enough to train.
        nn.init.normal_(self.linear.weight, std=1 / INITIAL_SCALE)
        nn.init.zeros_(self.linear.bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def forward(self, embedding: Tensor) -> Tensor:
        """Map embeddings (B, E) of norm 1 to logits (B, K)."""
        return self.log_scale.exp() * at_least_float32(self.linear(embedding))
