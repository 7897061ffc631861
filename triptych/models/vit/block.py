"""The transformer block: attention between tokens, and an MLP on each token."""

import torch
from torch import Tensor, nn

from triptych.models.vit.attention import MultiHeadSelfAttention

# B batch, N tokens, D width.


class TransformerBlock(nn.Module):
    """A pre-norm block (Xiong et al., 2020).

    Args:
        embed_dim: D.
        num_heads: Number of attention heads.
        mlp_ratio: Hidden width of the MLP, in units of embed_dim.
        dropout: Probability of dropping an output of the attention, or a hidden or output activation of the MLP. The
            attention weights are never dropped: that would prevent the use of the fused kernel.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        num_heads: int,
        mlp_ratio: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = MultiHeadSelfAttention(embed_dim, num_heads=num_heads)
        self.mlp_norm = nn.LayerNorm(embed_dim)
        self.mlp = MultiLayerPerceptron(embed_dim, hidden_dim=round(mlp_ratio * embed_dim), dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens)))
        output: Tensor = tokens + self.dropout(self.mlp(self.mlp_norm(tokens)))
        return output

    def attention_shares(self, tokens: Tensor) -> Tensor:
        """Return the share of each input token in each token after the attention and its skip connection.

        The share of token n in token m is the norm of the vector that n contributes to m, relative to the sum of the
        norms of all contributions to m (Kobayashi et al., 2021). The attention weights alone mislead: they are largest
        for tokens with almost no information, such as the empty corner of a digit's image.

        Args:
            tokens: (B, N, D), the input of the block.

        Returns:
            Shares (B, N, N), every row sums to 1.
        """
        normalised = self.attention_norm(tokens)
        weights, messages = self.attention.weights(normalised), self.attention.messages(normalised)
        # The squared norm of a sum over heads, from the heads' inner products: the vectors would need (B, N, N, D).
        products = torch.einsum("bhnd,bknd->bhkn", messages, messages)
        squares = (torch.einsum("bhmn,bhkn->bkmn", weights, products) * weights).sum(1)
        kept = tokens + torch.einsum("bhnn,bhnd->bnd", weights, messages)
        lengths = squares.clamp_min(0).sqrt().diagonal_scatter(kept.norm(dim=-1), dim1=1, dim2=2)
        return lengths / lengths.sum(-1, keepdim=True)


class MultiLayerPerceptron(nn.Module):
    """Two linear layers with SiLU between them, applied to each token separately.

    Args:
        embed_dim: D.
        hidden_dim: Width between the two layers.
        dropout: Probability of dropping a hidden activation.
    """

    def __init__(self, embed_dim: int, *, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(embed_dim, hidden_dim)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (..., D) to (..., D)."""
        output: Tensor = self.output(self.dropout(self.activation(self.hidden(tokens))))
        return output
