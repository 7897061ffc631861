"""Any module that maps images to features, as the encoder of a model."""

import torch
from torch import Tensor, nn

from triptych.models.contract import Encoder

# B batch, C channels, H/W image, N tokens, F features.


class ModuleEncoder(Encoder):
    """Wraps a user's module as an encoder.

    Tokens are averaged. The module is trained with the rest of the model, unless its parameters require no gradient.

    Args:
        module: Maps standardised images (B, C, H, W) to features (B, F) or tokens (B, N, F).
        image_size: H and W.
        in_channels: C.

    Raises:
        ValueError: The module does not accept such images, or returns something else.

    Example:
        >>> encoder = ModuleEncoder(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), image_size=(8, 8), in_channels=1)
        >>> encoder.output_dim, encoder(torch.zeros(3, 1, 8, 8)).shape
        (10, torch.Size([3, 10]))
    """

    def __init__(self, module: nn.Module, *, image_size: tuple[int, int], in_channels: int) -> None:
        super().__init__()
        self.module = module
        self.output_dim = _measured_features(module, (2, in_channels, *image_size))

    def forward(self, images: Tensor) -> Tensor:
        """Map standardised images (B, C, H, W) to features (B, output_dim)."""
        features: Tensor = self.module(images)
        return features.mean(1) if features.ndim == 3 else features


@torch.no_grad()
def _measured_features(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Measure F with a batch of zeros in evaluation mode: running statistics and modes are unchanged."""
    modes = {part: part.training for part in module.modules()}
    try:
        features = module.eval()(torch.zeros(shape))
    except Exception as error:  # a user's module can raise any error
        raise ValueError(
            f"encoder must map images of the shape {shape} to features, but it fails: {type(error).__name__}: {error}"
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training
    if not (isinstance(features, Tensor) and features.ndim in (2, 3) and len(features) == shape[0]):
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"encoder must map images (B, C, H, W) to features (B, F) or tokens (B, N, F), but of images {shape} it "
            f"makes {got}; add layers such as nn.AdaptiveAvgPool2d(1) and nn.Flatten() that bring it to that shape"
        )
    return features.shape[-1]
