"""The image transformer of simple mode: compare and name, without the VAE."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from triptych.models.encoder import ImageEncoder
from triptych.models.heads import ClassificationHead, EmbeddingHead
from triptych.models.pixels import PixelStandardisation

# B batch, C channels, H/W image, E embedding_dim, K classes.


class ImageTransformerOutput(NamedTuple):
    """What the simple model says of a batch of images."""

    embedding: Tensor
    """(B, E), L2 norm 1."""
    logits: Tensor
    """(B, K), before the softmax."""


class ImageTransformer(nn.Module):
    """A Vision Transformer with an embedding on its features, and a classifier on the embedding.

        images -> encoder -> features -> embedding -> logits

    No loss inside. None of the methods switches gradients off: wrap the call in `torch.no_grad()` where none are
    wanted.

    Args:
        image_size: H and W, which `patch_size` divides.
        in_channels: C.
        num_classes: K.
        patch_size: side of the square of pixels that becomes one token.
        patch_embedding: "convolutional" or "linear".
        embed_dim: width of the tokens, divisible by 4 and by `num_heads`.
        num_heads: attention heads of a block.
        num_layers: transformer blocks.
        mlp_ratio: hidden width of a block's MLP, in units of `embed_dim`.
        depthwise_convolution: whether the blocks hold a 3x3 depthwise convolution over the token grid.
        dropout: probability of dropping an activation in the blocks.
        embedding_dim: E.
        pixel_mean: of the training images in [0, 1], one number or one per channel.
        pixel_std: likewise, the standard deviation.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        in_channels: int,
        num_classes: int,
        patch_size: int,
        patch_embedding: str,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        mlp_ratio: float,
        depthwise_convolution: bool,
        dropout: float,
        embedding_dim: int,
        pixel_mean: float | Sequence[float],
        pixel_std: float | Sequence[float],
    ) -> None:
        super().__init__()
        self.pixels = PixelStandardisation(image_size, in_channels=in_channels, mean=pixel_mean, std=pixel_std)
        self.encoder = ImageEncoder(
            image_size=image_size,
            in_channels=in_channels,
            patch_size=patch_size,
            patch_embedding=patch_embedding,
            embed_dim=embed_dim,
            num_heads=num_heads,
            num_layers=num_layers,
            mlp_ratio=mlp_ratio,
            depthwise_convolution=depthwise_convolution,
            dropout=dropout,
        )
        self.embedding_head = EmbeddingHead(self.encoder.output_dim, embedding_dim=embedding_dim)
        self.classification_head = ClassificationHead(embedding_dim, num_classes=num_classes)

    def forward(self, images: Tensor) -> ImageTransformerOutput:
        """Look at images (B, C, H, W), floating point with pixels in [0, 1].

        Raises:
            ValueError: images of another type or shape than the model was built for.
        """
        embedding = self.embed(images)
        return ImageTransformerOutput(embedding=embedding, logits=self.classification_head(embedding))

    def encode(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to the features (B, encoder.output_dim)."""
        features: Tensor = self.encoder(self.pixels(images))
        return features

    def embed(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to embeddings (B, E) of L2 norm 1."""
        embedding: Tensor = self.embedding_head(self.encode(images))
        return embedding

    def classify(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classification_head(self.embed(images))
        return logits
