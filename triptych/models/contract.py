"""The interface between a model and its encoder."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

# B batch, C channels, H/W image, h/w token grid.


class Encoder(nn.Module, ABC):
    """A module that maps each image to one feature vector, the input of a model's heads.

    To add your own encoder, write a subclass that sets `output_dim` and implements `forward`. All other methods are
    optional: training and the report omit what the encoder does not provide.

    Attributes:
        output_dim: Dimension of the features.
    """

    output_dim: int

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), standardised with the training set's statistics, to features (B, output_dim)."""

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute fixed parameters before training from standardised training images, batches of (B, C, H, W)."""

    def hidden_weights(self) -> list[Tensor]:
        """List the weights that map features to features, for an optimiser such as Muon; if empty, AdamW trains all."""
        return []

    def pretrained_layers(self) -> list[list[nn.Parameter]]:
        """List the pretrained parameters that are fine-tuned, layer by layer from the input.

        They have their own learning rate. Empty for an encoder that has random initial weights or is frozen.
        """
        return []

    def attention_maps(self, images: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return the share of each part of standardised images (B, C, H, W) in the features: (B, h, w).

        None if the encoder has no attention maps.
        """
        return None

    @property
    def is_frozen(self) -> bool:
        """Whether no parameter is trained, so that the features of an image stay the same during a run."""
        return not any(parameter.requires_grad for parameter in self.parameters())
