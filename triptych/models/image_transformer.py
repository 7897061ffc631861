"""The image transformer of simple mode: embedding and classifier, no VAE."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from triptych.models.contract import Encoder
from triptych.models.heads import ClassificationHead, EmbeddingHead
from triptych.models.pixels import PixelStandardisation

# B batch, C channels, H/W image, E embedding_dim, K classes.


class ImageTransformerOutput(NamedTuple):
    """The outputs of the simple model for a batch of images."""

    embedding: Tensor
    """(B, E), L2 norm 1."""
    logits: Tensor
    """(B, K), before the softmax."""


class ImageTransformer(nn.Module):
    """An encoder with an embedding on its features, and a classifier on the embedding.

        images -> encoder -> features -> embedding -> logits

    The model computes no loss. No method disables gradients: wrap the call in `torch.no_grad()` if you need none.

    Args:
        encoder: Maps standardised images (B, C, H, W) to features (B, encoder.output_dim).
        image_size: H and W.
        in_channels: C.
        num_classes: K.
        embedding_dim: E.
        pixel_mean: Mean of the training images' pixels in [0, 1], one number or one per channel.
        pixel_std: Their standard deviation, likewise.

    Raises:
        ValueError: The sizes are incompatible.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        image_size: tuple[int, int],
        in_channels: int,
        num_classes: int,
        embedding_dim: int,
        pixel_mean: float | Sequence[float],
        pixel_std: float | Sequence[float],
    ) -> None:
        super().__init__()
        self.pixels = PixelStandardisation(image_size, in_channels=in_channels, mean=pixel_mean, std=pixel_std)
        self.encoder = encoder
        self.embedding_head = EmbeddingHead(encoder.output_dim, embedding_dim=embedding_dim)
        self.classification_head = ClassificationHead(embedding_dim, num_classes=num_classes)

    def forward(self, images: Tensor, features: Tensor | None = None) -> ImageTransformerOutput:
        """Compute the outputs for images (B, C, H, W), floating point with pixels in [0, 1].

        Args:
            images: The batch.
            features: (B, encoder.output_dim), the encoder's output for these images if already computed; the encoder
                is then not run.

        Raises:
            ValueError: The images have another type or shape than the model expects.
        """
        embedding = self.embedding_head(self.encode(images) if features is None else features)
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

    def prepare(self, images: Tensor, *, seed: int) -> None:  # noqa: ARG002 - same signature as the other model
        """Compute the fixed parameters before training: the encoder's whitening filters.

        Args:
            images: (n, C, H, W), uint8; a few thousand training images.
            seed: Unused.
        """
        self.encoder.fit(self.pixels.batches(images))
