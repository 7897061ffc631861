"""Multi-head self-attention over tokens with PyTorch's fused kernel, and its attention weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B batch, N tokens, D width, d width of a head.


class MultiHeadSelfAttention(nn.Module):
    """Every token attends to every token: softmax(Q Kᵀ / √d) V per head, d = D / num_heads (Vaswani et al., 2017).

    Args:
        embed_dim: D.
        num_heads: Number of heads; it divides D.

    Raises:
        ValueError: The number of heads does not divide D.
    """

    def __init__(self, embed_dim: int, *, num_heads: int) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(
                f"num_heads must divide embed_dim, but {num_heads} does not divide {embed_dim}; choose "
                f"embed_dim {embed_dim // num_heads * num_heads or num_heads} or another number of heads"
            )
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(embed_dim, 3 * embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        query, key, value = self._project(tokens)
        if query.device.type == "cpu" and query.dtype == torch.bfloat16:
            # On this device the fused kernel's backward pass takes nine times as long as these products.
            mixed = _weights(query, key) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended

    def weights(self, tokens: Tensor) -> Tensor:
        """Return the attention weights between tokens (B, N, D): (B, heads, N, N), every row sums to 1.

        The fused kernel does not store this matrix, so it is recomputed: for figures, not for training.
        """
        query, key, _ = self._project(tokens)
        return _weights(query, key)

    def messages(self, tokens: Tensor) -> Tensor:
        """Return the output of each head for each of the tokens (B, N, D) at attention weight 1: (B, heads, N, D).

        The sum of `weights @ messages` over the heads, plus the bias of the output map, is what `forward` returns.
        """
        _, _, value = self._project(tokens)
        outputs: Tensor = self.output.weight.T.reshape(self.num_heads, value.shape[-1], -1)  # (heads, d, D)
        return value @ outputs

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map tokens (B, N, D) to the queries, keys and values of every head, (B, heads, N, d) each."""
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.query_key_value(tokens).chunk(3, dim=-1)
        )
        return query, key, value


def _weights(query: Tensor, key: Tensor) -> Tensor:
    """Return softmax(Q Kᵀ / √d) of queries and keys (B, heads, N, d) each: (B, heads, N, N)."""
    return (query / math.sqrt(query.shape[-1]) @ key.transpose(2, 3)).softmax(-1)
