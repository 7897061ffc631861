"""A plain four-layer convolutional network with cross-entropy, for the benchmark of few images."""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)
LEARNING_RATE = 2e-3
BATCH = 64

# B batch, C channels, H/W image, K classes.


class PlainConvnet(nn.Module):
    """Four times [3x3 convolution, batch norm, ReLU, 2x2 max-pooling], mean over pixels, linear classifier."""

    def __init__(self, channels: int, *, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((channels, *WIDTHS), WIDTHS, strict=False):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            # Rounded up, so that images of 8 pixels pass through four layers.
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def fit_plain(images: Tensor, labels: Tensor, *, num_classes: int, flips: bool, seconds: float) -> PlainConvnet:
    """Train with AdamW and a learning rate that decreases linearly to zero within `seconds` of CPU time.

    Args:
        images: Standardised, (N, C, H, W) float32.
        labels: (N,) int64.
        num_classes: K.
        flips: Whether half the images of a batch are mirrored.
        seconds: CPU time in seconds.
    """
    model = PlainConvnet(images.shape[1], num_classes=num_classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    began, spent = time.process_time(), 0.0
    while spent < seconds:
        for index in torch.randperm(len(labels)).split(min(BATCH, len(labels))):
            batch = images[index]
            if flips:
                batch = torch.where(torch.rand(len(index), 1, 1, 1) < 0.5, batch.flip(3), batch)
            loss = F.cross_entropy(model(batch), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            spent = time.process_time() - began
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * max(0.0, 1 - spent / seconds)
            if spent >= seconds:
                break
    return model.eval()
