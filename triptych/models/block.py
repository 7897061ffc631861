"""The transformer block: attention between tokens, a glance at the neighbours, and an MLP on each token."""

import torch
from torch import Tensor, nn

from triptych.models.attention import MultiHeadSelfAttention
from triptych.models.layout import channels_last

# B batch, N tokens, D width, h/w token grid.


class TransformerBlock(nn.Module):
    """A pre-norm block (Xiong et al., 2020) with an optional depthwise convolution between its two halves.

    Args:
        embed_dim: D.
        grid: rows and columns of the token grid, N = rows * columns.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP, in units of embed_dim.
        depthwise_convolution: whether each token also sees its eight neighbours through a 3x3 depthwise convolution.
        dropout: probability of dropping an output of the attention, and a hidden or output activation of the MLP. The
            attention weights are never dropped: that would cost the fused kernel.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        grid: tuple[int, int],
        num_heads: int,
        mlp_ratio: float,
        depthwise_convolution: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = MultiHeadSelfAttention(embed_dim, num_heads=num_heads)
        self.convolution = DepthwiseTokenConvolution(embed_dim, grid=grid) if depthwise_convolution else None
        self.mlp_norm = nn.LayerNorm(embed_dim)
        self.mlp = MultiLayerPerceptron(embed_dim, hidden_dim=round(mlp_ratio * embed_dim), dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens)))
        if self.convolution is not None:
            tokens = tokens + self.convolution(tokens)
        output: Tensor = tokens + self.dropout(self.mlp(self.mlp_norm(tokens)))
        return output

    def attention_shares(self, tokens: Tensor) -> Tensor:
        """Say of what each token consists after the attention and its skip connection.

        The share of token n in token m is the length of the vector that comes from n, relative to the lengths of all
        that come to m (Kobayashi et al., 2021). The attention weights alone mislead: a token that many look at and
        that has next to nothing to say, as the empty corner of a digit's image, gets the most of them.

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


class DepthwiseTokenConvolution(nn.Module):
    """A 3x3 convolution over the token grid, each channel by itself: locality for 9 weights a channel.

    Args:
        embed_dim: D.
        grid: rows and columns of the token grid.
    """

    def __init__(self, embed_dim: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.convolution = channels_last(nn.Conv2d(embed_dim, embed_dim, 3, padding=1, groups=embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        # Tokens are a channels-last image as they lie in memory: nothing is copied on the way in or out.
        image = tokens.reshape(tokens.shape[0], *self.grid, -1).permute(0, 3, 1, 2)
        convolved: Tensor = self.convolution(image)
        return convolved.permute(0, 2, 3, 1).flatten(1, 2)


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
