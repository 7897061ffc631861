"""Triptych's own encoder: maps standardised images to one feature vector per image."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from triptych.models.contract import Encoder
from triptych.models.vit.block import TransformerBlock
from triptych.models.vit.patches import PATCH_EMBEDDINGS, ConvolutionalStage, PatchEmbedding, token_grid
from triptych.models.vit.positions import sine_cosine_positions
from triptych.models.vit.recomputing import recomputed

# B batch, C channels, H/W image, h/w token grid, N = h * w tokens, D width.


class ImageEncoder(Encoder):
    """A Vision Transformer (Dosovitskiy et al., 2021) with mean pooling over its tokens.

    Args:
        image_size: H and W, divisible by `patch_size`.
        in_channels: C.
        patch_size: Total stride of the patch embedding.
        patch_embedding: "convolutional" or "linear".
        embed_dim: D, divisible by 4 and by `num_heads`.
        num_heads: Number of attention heads of a block.
        num_layers: Number of blocks.
        mlp_ratio: Hidden width of a block's MLP, in units of `embed_dim`.
        dropout: Probability of dropping an activation in the blocks.
        mirror_averaging: Whether features in evaluation mode are the mean over an image and its horizontal mirror
            image, so that both get the same features: for images with mirror symmetry. It doubles the cost of
            evaluation, not of training.
        activation_checkpointing: Whether training stores only the inputs of the blocks and of the patch embedding's
            stages, and recomputes the rest in the backward pass: a third more time for a fraction of the memory.

    Raises:
        ValueError: The sizes do not divide each other, or the patch embedding is unknown.
    """

    positions: Tensor

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        in_channels: int,
        patch_size: int,
        patch_embedding: str,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        mlp_ratio: float,
        dropout: float,
        mirror_averaging: bool = False,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if patch_embedding not in PATCH_EMBEDDINGS:
            raise ValueError(
                f"patch_embedding must be one of {sorted(PATCH_EMBEDDINGS)}, but it is {patch_embedding!r}; "
                "choose one of these"
            )
        grid = token_grid(*image_size, patch_size=patch_size)
        self.patch_embedding = PATCH_EMBEDDINGS[patch_embedding](
            in_channels, embed_dim=embed_dim, patch_size=patch_size
        )
        # Not persistent: it is a function of the sizes and not learned.
        self.register_buffer("positions", sine_cosine_positions(*grid, embed_dim=embed_dim), persistent=False)
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_dim, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.grid = grid
        self.mirror_averaging = mirror_averaging
        self.activation_checkpointing = activation_checkpointing
        self.output_dim = embed_dim
        self._initialise_blocks()

    def forward(self, images: Tensor) -> Tensor:
        """Map standardised images (B, C, H, W) to features (B, D)."""
        features = self.tokens(images).mean(1)
        if self.mirror_averaging and not self.training:
            features = (features + self.tokens(images.flip(-1)).mean(1)) / 2
        return features

    def tokens(self, images: Tensor) -> Tensor:
        """Map standardised images (B, C, H, W) to the tokens (B, N, D) after the last block, normalised."""
        keeps_little = self.activation_checkpointing and self.training
        tokens = self.patch_embedding(images, recompute=keeps_little) + self.positions
        for block in self.blocks:
            tokens = recomputed(block, tokens) if keeps_little else block(tokens)
        normalised: Tensor = self.norm(tokens)
        return normalised

    def hidden_weights(self) -> list[Tensor]:
        """List the weights that map features to features, for an optimiser such as Muon.

        These are the matrices of the blocks and the filters of the convolutional patch embedding, but not the linear
        patch embedding, whose input is pixels.
        """
        stem = [] if isinstance(self.patch_embedding, PatchEmbedding) else _weights(self.patch_embedding, nn.Conv2d)
        return stem + _weights(self.blocks, nn.Linear)

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the whitening filters of the patch embedding from standardised images, batches of (B, C, H, W)."""
        self.patch_embedding.fit(batches)

    def fold(self) -> None:
        """Fold the batch normalisation into the convolutions, for evaluation: the same function up to rounding."""
        for module in self.patch_embedding.modules():
            if isinstance(module, ConvolutionalStage):
                module.fold()

    def attention_maps(self, images: Tensor) -> Tensor:
        """Return the share of each token of standardised images (B, C, H, W) in the features: (B, h, w).

        An attention rollout (Abnar and Zuidema, 2020): the product of the shares of all blocks, from the last to the
        first, averaged over the tokens, because the pooling is a mean and there is no class token. A block's shares are
        those of `TransformerBlock.attention_shares`. Convolutions and MLPs are not included: a map shows where
        information comes from, and does not prove what the features depend on.

        Returns:
            One map per image, whose shares sum to 1; with 1 / N everywhere all tokens contribute equally.
        """
        tokens = self.patch_embedding(images) + self.positions
        entering = []
        for block in self.blocks:
            entering.append(tokens)
            tokens = block(tokens)
        shares: Tensor = tokens.new_full((len(tokens), 1, tokens.shape[1]), 1 / tokens.shape[1])
        for block, before in zip(reversed(self.blocks), reversed(entering), strict=True):
            assert isinstance(block, TransformerBlock)
            shares = shares @ block.attention_shares(before)
        return shares.reshape(-1, *self.grid)

    def _initialise_blocks(self) -> None:
        """Draw the blocks' weights from a normal of deviation 0.02, truncated at two deviations; biases are zero.

        The last layers of the residual branches are divided by √(2 · blocks), so that the scale of the residual stream
        does not grow with depth (Radford et al., 2019).
        """
        for block in self.blocks:
            for name, module in block.named_modules():
                if isinstance(module, nn.Linear | nn.Conv2d):
                    deviation = 0.02 / math.sqrt(2 * len(self.blocks)) if name.endswith("output") else 0.02
                    nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
                    nn.init.zeros_(module.get_parameter("bias"))


def _weights(module: nn.Module, kind: type[nn.Conv2d] | type[nn.Linear]) -> list[Tensor]:
    return [layer.weight for layer in module.modules() if isinstance(layer, kind)]
