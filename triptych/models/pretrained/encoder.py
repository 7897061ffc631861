"""A pretrained network as the encoder of a model."""

from collections.abc import Sequence
from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from triptych.models.contract import Encoder
from triptych.models.pretrained.backbone import BackboneError, first_line
from triptych.models.pretrained.layers import blocks_of, layers_of

# B batch, C channels of the images, K channels of the network, H/W image, h/w input of the network.


class PretrainedEncoder(Encoder):
    """Applies a network to images after converting them to its size, channels and normalisation.

    Images are resized (bilinear, antialiased), and greyscale images are repeated over the network's channels. A frozen
    network is always in evaluation mode, stores no activations, and gets no gradient.

    Args:
        network: Maps normalised images (B, K, h, w) to features (B, F).
        image_size: h and w, the input size of the network.
        channels: K.
        in_channels: C, either K or 1.
        image_mean: Mean of each of the K channels in the network's input normalisation, pixels in [0, 1].
        image_std: Standard deviation, likewise.
        pixel_mean: Mean with which the input images were standardised, one number or one per channel.
        pixel_std: Standard deviation, likewise.
        frozen: Whether the network is frozen.
        activation_checkpointing: Whether training stores only the inputs of the network's blocks, and recomputes the
            rest in the backward pass.

    Raises:
        BackboneError: The network does not support this image size or these channels, or is not deterministic.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        image_size: tuple[int, int],
        channels: int,
        in_channels: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        pixel_mean: float | Sequence[float],
        pixel_std: float | Sequence[float],
        frozen: bool,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if in_channels not in (1, channels):
            raise BackboneError(
                f"expected images of {channels} channels, as the encoder was trained with, or grey ones, which are "
                f"repeated; got {in_channels} channels. Use an encoder for such images, or Triptych's own (null)"
            )
        self.network = network
        self.image_size = image_size
        self.channels = channels
        self.frozen = frozen
        # Converts between the two standardisations in one step.
        known_mean, known_std, mean, std = (
            torch.as_tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1)
            for numbers in (pixel_mean, pixel_std, image_mean, image_std)
        )
        known_std = torch.where(known_std == 0, torch.ones_like(known_std), known_std)
        self.register_buffer("scale", (known_std / std).expand(channels, 1, 1).clone())
        self.register_buffer("shift", ((known_mean - mean) / std).expand(channels, 1, 1).clone())
        self.output_dim = self._measured_output_dim()
        if frozen:
            network.requires_grad_(False)
        else:
            self._freeze_what_is_not_used()
            if activation_checkpointing:
                _keep_little(network)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Map standardised images (B, C, H, W) to features (B, output_dim)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.network(self._prepared(images))
        return features

    def pretrained_layers(self) -> list[list[nn.Parameter]]:
        """List the network's trainable parameters, layer by layer from the input."""
        return layers_of(self.network)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Set the mode; a frozen network stays in evaluation mode: no dropout, no updates of running statistics."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def _prepared(self, images: Tensor) -> Tensor:
        if images.shape[2:] != self.image_size:
            images = F.interpolate(images, self.image_size, mode="bilinear", antialias=True, align_corners=False)
        return images.expand(-1, self.channels, -1, -1) * self.scale + self.shift

    @torch.no_grad()
    def _measured_output_dim(self) -> int:
        self.network.eval()
        try:
            features, again = self.network(self._probe()), self.network(self._probe())
        except Exception as error:
            # Third-party networks raise errors of any class.
            height, width = self.image_size
            raise BackboneError(
                f"expected an encoder that makes features of images alone, of {height}x{width} pixels and "
                f"{self.channels} channels; got one that does not ({first_line(error)}). Choose another"
            ) from error
        if features.ndim != 2 or len(features) != 1:
            raise BackboneError(
                f"expected an encoder that gives one vector of features an image, got the shape {tuple(features.shape)}"
            )
        if not torch.allclose(features, again, equal_nan=True):
            raise BackboneError(
                "expected an encoder with the same output for the same image, got one that is random when it evaluates "
                "(masked autoencoders are: save their encoder as a plain vision transformer)"
            )
        return int(features.shape[1])

    def _freeze_what_is_not_used(self) -> None:
        """Freeze parameters that get no gradient, such as the mask token: DDP would wait for them."""
        learning = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            total = self.network(self._probe()).sum()
            gradients = torch.autograd.grad(total, learning, allow_unused=True)
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)

    def _probe(self) -> Tensor:
        """Return an image with different patches."""
        shape = (1, self.channels, *self.image_size)
        return torch.linspace(-2, 2, prod(shape), device=self.scale.device).reshape(shape)


def _keep_little(network: nn.Module) -> None:
    """Store only the input of every block, and recompute the rest (activation checkpointing)."""
    for block in blocks_of(network).values():
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
