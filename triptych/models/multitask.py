"""The multi-task image transformer: embedding, classifier and decoder on one latent."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.models.components import PrincipalComponents
from triptych.models.contract import Encoder
from triptych.models.decoder import ImageDecoder
from triptych.models.heads import ClassificationHead, EmbeddingHead
from triptych.models.latent import LatentHead, at_least_float32, reparameterise
from triptych.models.pixels import PixelStandardisation

# B batch, C channels, H/W image, L latent dimensions (learned and fixed), E embedding_dim, K classes.

SIGMOID_SLOPE = 4.0
"""The sigmoid of 4 · (pixel - ½) equals the pixel at ½, and approximates it near ½."""


class MultiTaskOutput(NamedTuple):
    """The outputs of the multi-task model for a batch of images."""

    embedding: Tensor
    """(B, E), L2 norm 1."""
    logits: Tensor
    """(B, K), before the softmax."""
    reconstruction: Tensor
    """(B, C, H, W), pixels in [0, 1]."""
    mean: Tensor
    """(B, L), of the approximate posterior: learned dimensions first, then principal components."""
    log_variance: Tensor
    """(B, L), of the approximate posterior, within ± 10."""
    latent: Tensor
    """(B, L), the sample, input of heads and decoder; the mean in evaluation mode."""


class MultiTaskImageTransformer(nn.Module):
    """An encoder with a VAE's latent; embedding, classifier and decoder take a sample of the latent.

        images -> encoder -> mean, log_variance -> latent: learned dimensions -> embedding -> logits
        images -> principal components ----------> latent: all dimensions ----> reconstruction

    The latent has `latent_dim` learned dimensions and `principal_components` fixed ones, which `prepare` computes from
    the training images. The embedding uses only the learned dimensions. The decoder uses all, and its output is added
    to the reconstruction from the components. With components, the reconstruction's gradient stops at the learned
    dimensions: classes and triplets shape them, and the decoder uses what they encode.

    The model computes no loss. `encode`, `embed`, `classify` and `reconstruct` use the posterior mean, never noise, in
    training mode too; in evaluation mode they equal `forward`. In training mode an encoder with batch normalisation
    uses the batch's statistics: call `eval()` first if an image's result must not depend on the rest of the batch. No
    method disables gradients: wrap the call in `torch.no_grad()` if you need none.

    Args:
        encoder: Maps standardised images (B, C, H, W) to features (B, encoder.output_dim).
        image_size: H and W.
        in_channels: C.
        num_classes: K.
        latent_dim: Number of learned dimensions of the latent.
        embedding_dim: E.
        decoder_dim: Number of channels of the decoder's finest grid.
        principal_components: Number of fixed dimensions of the latent; L = latent_dim + principal_components.
        pixel_mean: Mean of the training images' pixels in [0, 1], one number or one per channel.
        pixel_std: Their standard deviation, likewise.

    Raises:
        ValueError: The sizes are incompatible.

    Example:
        >>> from triptych.models import ImageEncoder
        >>> encoder = ImageEncoder(
        ...     image_size=(8, 12), in_channels=1, patch_size=2, patch_embedding="convolutional", embed_dim=16,
        ...     num_heads=2, num_layers=1, mlp_ratio=2.0, dropout=0.0,
        ... )
        >>> model = MultiTaskImageTransformer(
        ...     encoder, image_size=(8, 12), in_channels=1, num_classes=10, latent_dim=4, embedding_dim=6,
        ...     decoder_dim=8, principal_components=3, pixel_mean=0.3, pixel_std=0.4,
        ... ).eval()
        >>> output = model(torch.rand(3, 1, 8, 12))
        >>> [tuple(part.shape) for part in output]
        [(3, 6), (3, 10), (3, 1, 8, 12), (3, 7), (3, 7), (3, 7)]
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
        principal_components: int,
        pixel_mean: float | Sequence[float],
        pixel_std: float | Sequence[float],
    ) -> None:
        super().__init__()
        self.learned_dim = latent_dim
        self.latent_dim = latent_dim + principal_components
        self.pixels = PixelStandardisation(image_size, in_channels=in_channels, mean=pixel_mean, std=pixel_std)
        self.encoder = encoder
        self.latent_head = LatentHead(encoder.output_dim, latent_dim=latent_dim, fixed_dim=principal_components)
        self.embedding_head = EmbeddingHead(latent_dim, embedding_dim=embedding_dim)
        self.classification_head = ClassificationHead(embedding_dim, num_classes=num_classes)
        self.decoder = ImageDecoder(
            self.latent_dim, image_size=image_size, out_channels=in_channels, decoder_dim=decoder_dim
        )
        self.components: PrincipalComponents | None = None
        if principal_components:
            self.components = PrincipalComponents(
                principal_components,
                image_size=image_size,
                channels=in_channels,
                decoded_size=self.decoder.decoded_size,
            )
            # The initial reconstruction is that of the components.
            nn.init.zeros_(self.decoder.pixels.weight)

    def forward(self, images: Tensor, noise: Tensor | None = None, features: Tensor | None = None) -> MultiTaskOutput:
        """Compute the outputs for images (B, C, H, W), floating point with pixels in [0, 1].

        Args:
            images: The batch.
            noise: (B, L) standard normal, for the sample of the latent in training mode; None draws it from PyTorch's
                default generator. In evaluation mode the latent is the mean, without noise.
            features: (B, encoder.output_dim), the encoder's output for these images if already computed; the encoder
                is then not run.

        Raises:
            ValueError: The images have another type or shape than the model expects, or the noise has another shape.
        """
        mean, log_variance = self.encode(images, features)
        latent = mean
        if self.training:
            latent = reparameterise(mean, log_variance, torch.randn_like(mean) if noise is None else noise)
        embedding = self.embed_latent(latent)
        learned, fixed = self._parts(latent)
        return MultiTaskOutput(
            embedding=embedding,
            logits=self.classification_head(embedding),
            reconstruction=self.decode(latent if self.components is None else torch.cat([learned.detach(), fixed], 1)),
            mean=mean,
            log_variance=log_variance,
            latent=latent,
        )

    def encode(self, images: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map images (B, C, H, W) to the mean (B, L) and log-variance (B, L) of their posterior.

        Args:
            images: The batch.
            features: As in `forward`.
        """
        standardised = self.pixels(images)
        mean, log_variance = self.latent_head(self.encoder(standardised) if features is None else features)
        if self.components is not None:
            mean = torch.cat([mean, at_least_float32(self.components.encode(standardised))], dim=1)
        return mean, log_variance

    def embed(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to embeddings (B, E) of L2 norm 1."""
        return self.embed_latent(self.encode(images)[0])

    def classify(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classification_head(self.embed(images))
        return logits

    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstruct images (B, C, H, W) from the posterior mean: pixels in [0, 1]."""
        return self.decode(self.encode(images)[0])

    def embed_latent(self, latent: Tensor) -> Tensor:
        """Map points (B, L) of the latent space to embeddings (B, E); only the learned dimensions are used."""
        embedding: Tensor = self.embedding_head(self._parts(latent)[0])
        return embedding

    def decode(self, latent: Tensor) -> Tensor:
        """Map points (B, L) of the latent space to images (B, C, H, W), pixels in [0, 1]."""
        ground = None
        if self.components is not None:
            pixels = self.components.decode(self._parts(latent)[1]) * self.pixels.std + self.pixels.mean
            ground = SIGMOID_SLOPE * (pixels - 0.5)
        logits: Tensor = self.decoder(latent, ground)
        return logits.sigmoid()

    def prepare(self, images: Tensor, *, seed: int) -> None:
        """Compute the fixed parameters before training: the encoder's whitening filters and the principal components.

        Args:
            images: (n, C, H, W), uint8; a few thousand training images.
            seed: Seed of the randomised PCA.
        """
        self.encoder.fit(self.pixels.batches(images))
        if self.components is not None:
            self.components.fit(self.pixels.batches(images), seed=seed)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n latents from the prior N(0, I) and decode them: (n, C, H, W), pixels in [0, 1].

        Args:
            n: Number of images.
            generator: Random generator, on any device; None uses PyTorch's default generator.
        """
        weight = self.latent_head.mean.weight
        device = weight.device if generator is None else generator.device
        latent = torch.randn(n, self.latent_dim, generator=generator, device=device, dtype=weight.dtype)
        return self.decode(latent.to(weight.device))

    def _parts(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Split latents (B, L) into the learned dimensions and the principal components."""
        return latent[:, : self.learned_dim], latent[:, self.learned_dim :]
