"""The plain baseline for the same three tasks, for the benchmarks that compare with it.

Every item is made by PIL, image by image, in worker processes; a step runs the model on anchors, positives and
negatives, one after another, sums the losses with fixed weights, and lets AdamW step; all of it in float32.
"""

import random
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from triptych.config.schema import AugmentationConfig
from triptych.data.images import Split
from triptych.models import MultiTaskImageTransformer
from triptych.models.multitask import MultiTaskOutput

WORKERS = 2
PREFETCHED = 2 * WORKERS
"""Number of batches that the workers prefetch, and have ready after every pause."""
MARGIN = 0.2
KL_WEIGHT = 3e-4
"""Weight of the KL sum over latent dimensions, with a squared error that is a mean over pixels."""


class PlainImages(Dataset[tuple[Tensor, ...]]):
    """An image and its label per item, the image changed by PIL."""

    def __init__(self, split: Split, augmentation: AugmentationConfig) -> None:
        self.images = split.images[: len(split)].permute(0, 2, 3, 1).contiguous().squeeze(-1).numpy()
        self.labels = split.labels
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.view(index), self.labels[index]

    def view(self, index: int) -> Tensor:
        """Return an image, changed at random at every call: (C, H, W) float32 in [0, 1]."""
        pixels = np.array(changed(Image.fromarray(self.images[index]), self.augmentation))
        return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).float().div(255)


class PlainTriplets(PlainImages):
    """Anchor, positive, negative and label per item."""

    def __init__(self, split: Split, augmentation: AugmentationConfig) -> None:
        super().__init__(split, augmentation)
        self.classes = split.labels.unique().tolist()
        self.members = {label: (split.labels == label).nonzero()[:, 0].tolist() for label in self.classes}

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        label = int(self.labels[index])
        other = random.choice([one for one in self.classes if one != label])
        positive, negative = random.choice(self.members[label]), random.choice(self.members[other])
        return self.view(index), self.view(positive), self.view(negative), self.labels[index]


def changed(picture: Image.Image, strength: AugmentationConfig) -> Image.Image:
    """Rotate, shift, resize, mirror and crop; other augmentation of a config is omitted."""
    side = picture.width
    if strength.rotation or strength.translate:
        angle = random.uniform(-strength.rotation, strength.rotation)
        right, down = (side * random.uniform(-strength.translate, strength.translate) for _ in range(2))
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, translate=(right, down))
    if strength.scale:
        size = round(side * random.uniform(1 - strength.scale, 1 + strength.scale))
        canvas = Image.new(picture.mode, picture.size)
        canvas.paste(picture.resize((size, size), Image.Resampling.BILINEAR), ((side - size) // 2,) * 2)
        picture = canvas
    if random.random() < strength.horizontal_flip:
        picture = ImageOps.mirror(picture)
    if padding := strength.crop_padding:
        left, top = random.randint(-padding, padding), random.randint(-padding, padding)
        picture = picture.crop((left, top, left + side, top + side))  # black where it reaches beyond the image
    return picture


def plain_loader(items: PlainImages, *, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
    """Return a loader of shuffled batches with persistent worker processes."""
    return DataLoader(
        items,
        batch_size=batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="fork",  # at once, where a benchmark's own process would spawn them
        drop_last=True,
    )


def plain_steps(
    model: MultiTaskImageTransformer,
    loader: DataLoader[tuple[Tensor, ...]],
    *,
    learning_rate: float,
    warmup_steps: int = 0,
) -> Iterator[int]:
    """Train on triplets endlessly, with a constant learning rate after a linear warm-up; yield each step's anchors."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup_steps + 1)))
    while True:
        for anchor, positive, negative, label in loader:
            first, *others = (model(images) for images in (anchor, positive, negative))
            loss = F.triplet_margin_loss(first.embedding, *(other.embedding for other in others), margin=MARGIN)
            loss = loss + other_losses(first, anchor, label)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            yield len(label)


def other_losses(output: MultiTaskOutput, images: Tensor, label: Tensor) -> Tensor:
    """Add up cross-entropy, squared error and KL divergence."""
    kl = 0.5 * (output.mean.square() + output.log_variance.exp() - 1 - output.log_variance).sum(1).mean()
    return F.cross_entropy(output.logits, label) + F.mse_loss(output.reconstruction, images) + KL_WEIGHT * kl
