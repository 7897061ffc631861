"""Multi-head self-attention over tokens, on PyTorch's fused kernel."""

import torch.nn.functional as F
from torch import Tensor, nn

# B batch, N tokens, D width.


class MultiHeadSelfAttention(nn.Module):
    """Every token looks at every token: softmax(Q Kᵀ / √d) V per head, d = D / num_heads (Vaswani et al., 2017).

    Args:
        embed_dim: D.
        num_heads: how many heads share the width; they divide it.

    Raises:
        ValueError: the heads do not divide the width.
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
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, N, d)
            for part in self.query_key_value(tokens).chunk(3, dim=-1)
        )
        attended: Tensor = self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return attended
