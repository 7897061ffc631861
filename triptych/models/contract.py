"""What a model needs of its encoder, whoever wrote it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

# B batch, C channels, H/W image, h/w token grid.


class Encoder(nn.Module, ABC):
    """A module that maps images to one vector of features each; the heads of a model stand on it.

    An encoder of your own is a subclass that sets `output_dim` and has a `forward`. What else training and the report
    use, it may provide or omit: nothing is invented in its place.

    Attributes:
        output_dim: Width of the features.
    """

    output_dim: int

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W), standardised with the training set's statistics, to features (B, output_dim)."""

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute what is known before training from standardised training images, batches of (B, C, H, W)."""

    def hidden_weights(self) -> list[Tensor]:
        """List the weights that map features to features, for an optimiser such as Muon; none: all are for AdamW."""
        return []

    def pretrained_layers(self) -> list[list[nn.Parameter]]:
        """List the parameters that were trained before and are trained further, layer by layer from the pixels on.

        They learn at a rate of their own. Empty for an encoder that begins with random weights, or stays as it is.
        """
        return []

    def attention_maps(self, images: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return how much each part of standardised images (B, C, H, W) gave to the features: shares (B, h, w).

        None where the encoder does not know it.
        """
        return None

    @property
    def is_frozen(self) -> bool:
        """Whether no parameter learns, so that the features of an image are the same all through a run."""
        return not any(parameter.requires_grad for parameter in self.parameters())
