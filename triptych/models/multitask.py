"""The multi-task image transformer: compare, name and repaint, from one latent."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.models.components import PrincipalComponents
from triptych.models.contract import Encoder
from triptych.models.decoder import ImageDecoder
from triptych.models.heads import ClassificationHead, EmbeddingHead
from triptych.models.latent import LatentHead, reparameterise
from triptych.models.pixels import PixelStandardisation

# B batch, C channels, H/W image, L latent_dim, E embedding_dim, K classes.

SIGMOID_SLOPE = 4.0
"""A logit of 4 · (pixel - ½) gives the pixel back at ½, and nearly so around it."""
ENCODER_SHARE = 0.3
"""Of the encoder's first say in the latent, beside principal components; none at all would leave it no gradient."""


class MultiTaskOutput(NamedTuple):
    """What the multi-task model says of a batch of images."""

    embedding: Tensor
    """(B, E), L2 norm 1."""
    logits: Tensor
    """(B, K), before the softmax."""
    reconstruction: Tensor
    """(B, C, H, W), pixels in [0, 1]."""
    mean: Tensor
    """(B, L), of the approximate posterior."""
    log_variance: Tensor
    """(B, L), of the approximate posterior, within ± 10."""
    latent: Tensor
    """(B, L), the sample that the three panels saw: the mean when evaluating."""


class MultiTaskImageTransformer(nn.Module):
    """An encoder with a VAE's latent, and on a sample of it an embedding, a classifier and a decoder.

        images -> encoder -> mean, log_variance -> latent -> embedding -> logits
                                                          -> reconstruction

    With `principal_components`, the mean begins as the principal components of the image and the repainted image as
    what these say of it, once they are known (`fit_components`); encoder and decoder learn what to add.

    No loss inside. `encode`, `embed`, `classify` and `reconstruct` use the mean of the posterior, never noise, in
    training mode too; in evaluation mode they equal `forward`. None of the methods switches gradients off: wrap the
    call in `torch.no_grad()` where none are wanted.

    Args:
        encoder: maps standardised images (B, C, H, W) to features (B, encoder.output_dim).
        image_size: H and W.
        in_channels: C.
        num_classes: K.
        latent_dim: L.
        embedding_dim: E.
        decoder_dim: channels of the decoder at its finest scale.
        principal_components: whether encoder and decoder add to the images' principal components.
        pixel_mean: of the training images in [0, 1], one number or one per channel.
        pixel_std: likewise, the standard deviation.

    Raises:
        ValueError: sizes that do not fit each other.

    Example:
        >>> from triptych.models import ImageEncoder
        >>> encoder = ImageEncoder(
        ...     image_size=(8, 12), in_channels=1, patch_size=2, patch_embedding="convolutional", embed_dim=16,
        ...     num_heads=2, num_layers=1, mlp_ratio=2.0, depthwise_convolution=True, dropout=0.0,
        ... )
        >>> model = MultiTaskImageTransformer(
        ...     encoder, image_size=(8, 12), in_channels=1, num_classes=10, latent_dim=4, embedding_dim=6,
        ...     decoder_dim=8, principal_components=True, pixel_mean=0.3, pixel_std=0.4,
        ... ).eval()
        >>> output = model(torch.rand(3, 1, 8, 12))
        >>> [tuple(part.shape) for part in output]
        [(3, 6), (3, 10), (3, 1, 8, 12), (3, 4), (3, 4), (3, 4)]
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        image_size: tuple[int, int],
        in_channels: int,
        num_classes: int,
        latent_dim: int,
        embedding_dim: int,
        decoder_dim: int,
        principal_components: bool,
        pixel_mean: float | Sequence[float],
        pixel_std: float | Sequence[float],
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.pixels = PixelStandardisation(image_size, in_channels=in_channels, mean=pixel_mean, std=pixel_std)
        self.encoder = encoder
        self.latent_head = LatentHead(encoder.output_dim, latent_dim=latent_dim)
        self.embedding_head = EmbeddingHead(latent_dim, embedding_dim=embedding_dim)
        self.classification_head = ClassificationHead(embedding_dim, num_classes=num_classes)
        self.decoder = ImageDecoder(
            latent_dim, image_size=image_size, out_channels=in_channels, decoder_dim=decoder_dim
        )
        self.components = (
            PrincipalComponents(
                latent_dim, image_size=image_size, channels=in_channels, painted_size=self.decoder.painted_size
            )
            if principal_components
            else None
        )

    def forward(self, images: Tensor, noise: Tensor | None = None, features: Tensor | None = None) -> MultiTaskOutput:
        """Look at images (B, C, H, W), floating point with pixels in [0, 1].

        Args:
            images: the batch.
            noise: (B, L) standard normal, for the sample of the latent in training mode; where none is given it is
                drawn from PyTorch's default generator. In evaluation mode the latent is the mean and noise is not used.
            features: (B, encoder.output_dim), what the encoder says of these images, where that is known already; it is
                not asked again.

        Raises:
            ValueError: images of another type or shape than the model was built for, or noise of another shape.
        """
        mean, log_variance = self.encode(images, features)
        latent = mean
        if self.training:
            latent = reparameterise(mean, log_variance, torch.randn_like(mean) if noise is None else noise)
        embedding = self.embedding_head(latent)
        return MultiTaskOutput(
            embedding=embedding,
            logits=self.classification_head(embedding),
            reconstruction=self.decode(latent),
            mean=mean,
            log_variance=log_variance,
            latent=latent,
        )

    def encode(self, images: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) to the mean (B, L) and log-variance (B, L) of their posterior.

        Args:
            images: the batch.
            features: as `forward` takes them.
        """
        standardised = self.pixels(images)
        mean, log_variance = self.latent_head(self.encoder(standardised) if features is None else features)
        if self.components is not None:
            mean = mean + self.components.encode(standardised)
        return mean, log_variance

    def embed(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to embeddings (B, E) of L2 norm 1."""
        embedding: Tensor = self.embedding_head(self.encode(images)[0])
        return embedding

    def classify(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classification_head(self.embed(images))
        return logits

    def reconstruct(self, images: Tensor) -> Tensor:
        """Repaint images (B, C, H, W) from the mean of their latent: pixels in [0, 1]."""
        return self.decode(self.encode(images)[0])

    def decode(self, latent: Tensor) -> Tensor:
        """Map points (B, L) of the latent space to images (B, C, H, W), pixels in [0, 1]."""
        ground = None
        if self.components is not None:
            pixels = self.components.decode(latent) * self.pixels.std + self.pixels.mean
            ground = SIGMOID_SLOPE * (pixels - 0.5)
        logits: Tensor = self.decoder(latent, ground)
        return logits.sigmoid()

    def fit_components(self, images: Tensor, *, seed: int) -> None:
        """Find the principal components, for a model that has them; encoder and decoder begin by adding little.

        Args:
            images: (n, C, H, W), uint8; a few thousand training images.
            seed: of the decomposition.
        """
        if self.components is not None:
            batches = (self.pixels(batch.float() / 255) for batch in torch.split(images, 256))
            self.components.fit(batches, seed=seed)
            with torch.no_grad():
                self.latent_head.mean.weight.mul_(ENCODER_SHARE)
            nn.init.zeros_(self.decoder.pixels.weight)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n latents from the prior N(0, I) and paint them: (n, C, H, W), pixels in [0, 1].

        Args:
            n: how many images.
            generator: where the randomness comes from, on any device; PyTorch's default generator where none is given.
        """
        weight = self.latent_head.mean.weight
        device = weight.device if generator is None else generator.device
        latent = torch.randn(n, self.latent_dim, generator=generator, device=device, dtype=weight.dtype)
        return self.decode(latent.to(weight.device))
