"""The transformer block: attention between tokens, and an MLP on each token."""

import torch
from torch import Tensor, nn

from triptych.models.vit.attention import MultiHeadSelfAttention

# B batch, N tokens, D width.


class TransformerBlock(nn.Module):
    """A pre-norm block (Xiong et al., 2020).

    Args:
        embed_dim: D.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP, in units of embed_dim.
        dropout: probability of dropping an output of the attention, and a hidden or output activation of the MLP. The
            attention weights are never dropped: that would cost the fused kernel.
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
        """Return of what each token consists after the attention and its skip connection.

        The share of token n in token m is the length of the vector that comes from n, relative to the lengths of all
        that come to m (Kobayashi et al., 2021). The attention weights alone mislead: a token that many look at and
        that carries almost no information, as the empty corner of a digit's image, gets the most of them.

        Args:
            tokens: (B, N, D), as they enter the block.

        Returns:
            Shares (B, N, N), every row a share of 1.
        """
        normalised = self.attention_norm(tokens)
        weights, messages = self.attention.weights(normalised), self.attention.messages(normalised)
        # The squared length of a sum over heads, from the heads' inner products: vectors would take (B, N, N, D).
        products = torch.einsum("bhnd,bknd->bhkn", messages, messages)
        squares = (torch.einsum("bhmn,bhkn->bkmn", weights, products) * weights).sum(1)
        kept = tokens + torch.einsum("bhnn,bhnd->bnd", weights, messages)
        lengths = squares.clamp_min(0).sqrt().diagonal_scatter(kept.norm(dim=-1), dim1=1, dim2=2)
        return lengths / lengths.sum(-1, keepdim=True)


class MultiLayerPerceptron(nn.Module):
    """Two linear maps with SiLU between, on each token by itself.

    Args:
        embed_dim: D.
        hidden_dim: width between the two maps.
        dropout: probability of dropping a hidden activation.
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
